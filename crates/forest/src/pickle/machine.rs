//! The stack machine.

use super::value::{Container, First, Name, Payload, State, Tuple, Value};
use super::{Fault, Found, MAX_VALUES};

/// Longest line of protocol 0 that is a number; longer ones are read, and not kept.
const MAX_DIGITS: usize = 19;
/// Deepest nesting of pickles in joblib's arrays of objects.
const MAX_NESTED: usize = 8;

/// Runs through a whole pickle.
pub(crate) fn scan(bytes: &[u8]) -> Result<Found<'_>, Fault> {
    let mut machine = Machine { bytes, ..Machine::default() };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(class)) => return Ok(Found { class, payloads: machine.payloads }),
            Err(reason) => return Err(Fault { offset: at, reason }),
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    memo: Vec<Value<'a>>,
    states: Vec<State<'a>>,
    payloads: Vec<Payload<'a>>,
    /// Memos of the pickles around this one: in a joblib file, an array of objects is one of its own.
    outer: Vec<Vec<Value<'a>>>,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..n).ok_or_else(|| format!("{n} bytes announced, {} left", rest.len()))?;
        self.at += n;
        Ok(taken)
    }

    /// An unsigned little-endian number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Step<u64> {
        let mut value = [0; 8];
        value[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(value))
    }

    /// What a length of `N` bytes announces.
    fn counted<const N: usize>(&mut self) -> Step<&'a [u8]> {
        let length = self.number::<N>()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&b| b == b'\n').ok_or("a line without an end")?;
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        if self.stack.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values on the stack"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err("no value on the stack".to_owned()),
            Some(value) => Ok(value),
        }
    }

    /// The position behind the last mark.
    fn mark(&self) -> Step<usize> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark));
        mark.map(|at| at + 1).ok_or_else(|| "no mark on the stack".to_owned())
    }

    /// Takes the values down to the last mark, and the mark.
    fn group(&mut self) -> Step<Vec<Value<'a>>> {
        let from = self.mark()?;
        let group = self.stack.split_off(from);
        self.stack.pop();
        Ok(group)
    }

    fn tuple(&mut self, n: usize) -> Step<()> {
        let mut values = [Value::Other; 3];
        for value in values[..n].iter_mut().rev() {
            *value = self.pop()?;
        }
        self.push(Value::Tuple(tuple_of(&values[..n])))
    }

    fn put(&mut self, at: u64) -> Step<()> {
        let value = *self.stack.last().ok_or("no value on the stack")?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        // Picklers count the places.
        if at >= self.at.min(MAX_VALUES) {
            return Err(format!("place {at} of the memo, only {} bytes were read", self.at));
        }
        if at >= self.memo.len() {
            self.memo.resize(at + 1, Value::Mark);
        }
        self.memo[at] = value;
        Ok(())
    }

    fn get(&mut self, at: u64) -> Step<()> {
        let value = usize::try_from(at).ok().and_then(|at| self.memo.get(at)).copied();
        match value {
            None | Some(Value::Mark) => Err(format!("place {at} of the memo is empty")),
            Some(value) => self.push(value),
        }
    }

    /// One opcode; the class of the object when it was the last.
    fn step(&mut self) -> Step<Option<String>> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => {
                let value = self.pop()?;
                let Some(memo) = self.outer.pop() else { return Ok(Some(class_of(value))) };
                self.memo = memo;
            }
            // The protocol's number, and the length of what follows.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.remember(opcode)?,
            _ => self.plain(opcode)?,
        }
        Ok(None)
    }

    /// Opcodes of the memo.
    fn remember(&mut self, opcode: u8) -> Step<()> {
        let at = match opcode {
            0x94 => self.memo.len() as u64,
            b'q' | b'h' => self.number::<1>()?,
            b'r' | b'j' => self.number::<4>()?,
            _ => decimal(self.line()?).ok_or("a place of the memo that is not a number")?,
        };
        match opcode {
            b'g' | b'h' | b'j' => self.get(at),
            _ => self.put(at),
        }
    }

    /// Opcodes that push numbers and constants. Integers are kept, as far as shapes of arrays have them.
    fn plain(&mut self, opcode: u8) -> Step<()> {
        let integer = match opcode {
            b'K' => Some(self.number::<1>()?),
            b'M' => Some(self.number::<2>()?),
            b'J' => Some(self.number::<4>()?).filter(|n| n >> 31 == 0),
            b'I' => decimal(self.line()?),
            b'F' | b'L' => self.line().map(|_| None)?,
            b'G' => self.take(8).map(|_| None)?,
            0x8A => self.counted::<1>().map(|_| None)?,
            0x8B => self.counted::<4>().map(|_| None)?,
            b'N' | 0x88 | 0x89 => None,
            _ => return self.text(opcode),
        };
        self.push(integer.map_or(Value::Other, Value::Int))
    }

    /// Opcodes that push text or bytes.
    fn text(&mut self, opcode: u8) -> Step<()> {
        let payload = match opcode {
            b'S' => Payload::Quoted(self.line()?),
            b'V' => Payload::Escaped(self.line()?),
            b'U' | b'C' => Payload::Bytes(self.counted::<1>()?),
            b'T' | b'B' => Payload::Bytes(self.counted::<4>()?),
            0x8E | 0x96 => Payload::Bytes(self.counted::<8>()?),
            0x8C => Payload::Utf8(self.counted::<1>()?),
            b'X' => Payload::Utf8(self.counted::<4>()?),
            0x8D => Payload::Utf8(self.counted::<8>()?),
            _ => return self.stack_only(opcode),
        };
        self.push(Value::Text(payload))
    }

    /// Opcodes that move values about.
    fn stack_only(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'(' => self.push(Value::Mark),
            b'0' => self.stack.pop().map(drop).ok_or_else(|| "no value on the stack".to_owned()),
            b'1' => self.group().map(drop),
            b'2' => {
                let value = *self.stack.last().ok_or("no value on the stack")?;
                self.push(value)
            }
            b')' => self.tuple(0),
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84)),
            b't' => {
                let group = self.group()?;
                self.push(Value::Tuple(tuple_of(&group)))
            }
            _ => self.collection(opcode),
        }
    }

    /// Opcodes of dictionaries, lists and sets.
    fn collection(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'}' => self.push(Value::Container(Container::Dict)),
            b']' | 0x8F => self.push(Value::Container(Container::Other)),
            b'l' | 0x91 => {
                self.group()?;
                self.push(Value::Container(Container::Other))
            }
            b'd' => {
                let group = self.group()?;
                self.push(Value::Container(Container::Dict))?;
                self.set_items(&group)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])
            }
            b'u' => {
                let group = self.group()?;
                self.set_items(&group)
            }
            b'a' => self.pop().map(drop),
            b'e' | 0x90 => self.group().map(drop),
            _ => self.object(opcode),
        }
    }

    /// Opcodes that make objects.
    fn object(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(Name { module, name }))
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                    return Err("the name of a class is not text".to_owned());
                };
                self.push(Value::Global(Name { module: module.plain(), name: name.plain() }))
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.push(called(callable, arguments))
            }
            0x92 => {
                let (_, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.push(called(callable, arguments))
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.group()?;
                self.push(Value::Instance(Name { module, name }))
            }
            b'o' => {
                let Some(&Value::Global(name)) = self.group()?.first() else {
                    return Err("an object without a class".to_owned());
                };
                self.push(Value::Instance(name))
            }
            b'b' => self.build(),
            b'P' | b'Q' | 0x82..=0x84 | 0x97 | 0x98 => {
                Err(format!("opcode '{}' refers to what is not in the file", opcode.escape_ascii()))
            }
            _ => Err(format!("unknown opcode '{}'", opcode.escape_ascii())),
        }
    }

    /// Entries of the dictionary on top of the stack. An object may have entries, too; they do not matter.
    fn set_items(&mut self, items: &[Value<'a>]) -> Step<()> {
        for [key, value] in items.as_chunks::<2>().0 {
            if let Value::Text(key) = key {
                self.set_item(key.plain(), *value)?;
            }
        }
        self.stack.last().map(|_| ()).ok_or_else(|| "no value on the stack".to_owned())
    }

    fn set_item(&mut self, key: &[u8], value: Value<'a>) -> Step<()> {
        match (key, value) {
            (b"handle", Value::Text(payload)) => self.state()?.handle = Some(payload),
            (b"shape", Value::Tuple(shape)) => self.state()?.count = Some(shape.product),
            (b"dtype", Value::Type(size)) => self.state()?.size = Some(size),
            (b"numpy_array_alignment_bytes", Value::Int(_)) => self.state()?.aligned = true,
            _ => {}
        }
        Ok(())
    }

    /// The entries that matter, of the dictionary on top of the stack.
    fn state(&mut self) -> Step<&mut State<'a>> {
        let new = self.states.len();
        let at = match self.stack.last_mut() {
            Some(Value::Container(Container::State(at))) => *at as usize,
            Some(top) if new < MAX_VALUES => {
                *top = Value::Container(Container::State(new as u32));
                self.states.push(State::default());
                new
            }
            _ => return Err(format!("entries without a dictionary, or of more than {MAX_VALUES}")),
        };
        self.states.get_mut(at).ok_or_else(|| "entries without a dictionary".to_owned())
    }

    /// Gives an object its state.
    fn build(&mut self) -> Step<()> {
        let state = match self.pop()? {
            Value::Container(Container::State(at)) => self.states.get(at as usize).copied(),
            _ => None,
        };
        let (Some(&Value::Instance(class)), Some(state)) = (self.stack.last(), state) else {
            return Ok(());
        };
        if class.is("xgboost.core", "Booster") {
            self.payloads.extend(state.handle);
        }
        if class.is("joblib.numpy_pickle", "NumpyArrayWrapper") {
            self.skip_array(state)?;
        }
        Ok(())
    }

    /// The values of an array, which joblib puts between the opcodes.
    fn skip_array(&mut self, array: State<'a>) -> Step<()> {
        let (Some(count), Some(size)) = (array.count, array.size) else {
            return Err("a joblib array without a shape or of an unknown type".to_owned());
        };
        if size == 0 {
            // Python objects: another pickle, with a memo of its own.
            if self.outer.len() == MAX_NESTED {
                return Err(format!("pickles in a pickle deeper than the limit {MAX_NESTED}"));
            }
            self.outer.push(std::mem::take(&mut self.memo));
            return Ok(());
        }
        if array.aligned {
            self.counted::<1>()?;
        }
        let bytes = count.checked_mul(size).and_then(|n| usize::try_from(n).ok());
        self.take(bytes.unwrap_or(usize::MAX)).map(drop)
    }
}

fn decimal(line: &[u8]) -> Option<u64> {
    std::str::from_utf8(line).ok().filter(|text| text.len() <= MAX_DIGITS)?.parse().ok()
}

fn tuple_of<'a>(values: &[Value<'a>]) -> Tuple<'a> {
    let first = match values.first() {
        Some(Value::Text(payload)) => First::Text(*payload),
        Some(Value::Global(name)) => First::Global(*name),
        _ => First::Other,
    };
    let product = values.iter().fold(1_u64, |product, value| match value {
        Value::Int(n) => product.saturating_mul(*n),
        _ => u64::MAX,
    });
    Tuple { first, product }
}

/// What a call would give, of the few that matter; of any other, an object of the callable's name.
fn called<'a>(callable: Value<'a>, arguments: Value<'a>) -> Value<'a> {
    let (Value::Global(name), Value::Tuple(arguments)) = (callable, arguments) else {
        return Value::Other;
    };
    let is_any = |modules: [&str; 2], names: [&str; 2]| {
        modules.iter().any(|module| names.iter().any(|function| name.is(module, function)))
    };
    match arguments.first {
        First::Global(class) if is_any(["copy_reg", "copyreg"], ["_reconstructor", "__newobj__"]) => {
            Value::Instance(class)
        }
        First::Text(payload)
            if name.is("_codecs", "encode")
                || is_any(["builtins", "__builtin__"], ["bytes", "bytearray"]) =>
        {
            Value::Text(payload)
        }
        First::Text(payload) if name.is("numpy", "dtype") => {
            type_size(payload.plain()).map_or(Value::Other, Value::Type)
        }
        _ => Value::Instance(name),
    }
}

/// Bytes of a value of a numpy type: `i8`, `<f4`, `|b1`, `U7`, `M8[ns]`; zero for Python objects.
fn type_size(descriptor: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(descriptor).ok()?.trim_start_matches(['<', '>', '|', '=']);
    let digits = text.get(1..)?.split('[').next()?;
    let size = digits.parse::<u64>().ok();
    match text.as_bytes()[0] {
        b'O' => Some(0),
        b'U' => size.map(|n| n.saturating_mul(4)).filter(|&n| n > 0),
        b'b' | b'i' | b'u' | b'f' | b'c' | b'S' | b'm' | b'M' => size.filter(|&n| n > 0),
        _ => None,
    }
}

/// What the whole pickle is.
fn class_of(value: Value<'_>) -> String {
    match value {
        Value::Instance(name) => name.to_string(),
        Value::Global(name) => format!("the name {name}"),
        Value::Container(Container::Dict | Container::State(_)) => "a dictionary".to_owned(),
        Value::Container(Container::Other) => "a list or set".to_owned(),
        Value::Tuple(_) => "a tuple".to_owned(),
        Value::Text(_) => "text or bytes".to_owned(),
        Value::Mark | Value::Other | Value::Int(_) | Value::Type(_) => "a plain value".to_owned(),
    }
}
