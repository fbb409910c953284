//! ONNX messages: a model's graph, its nodes and their attributes, by the field numbers of `onnx.proto`.

use std::collections::HashMap;

use super::proto::{Field, Message};
use crate::error::ParseError;

/// `TensorProto.DataType`.
pub(crate) const FLOAT: i64 = 1;
pub(crate) const UINT8: i64 = 2;
pub(crate) const DOUBLE: i64 = 11;
/// Most nodes of a graph. A chain has a handful.
const MAX_NODES: usize = 10_000;

/// `GraphProto`.
#[derive(Default)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) inputs: Vec<Input<'a>>,
    pub(crate) outputs: Vec<&'a str>,
    /// Constants by name.
    pub(crate) constants: HashMap<&'a str, Message<'a>>,
}

/// `ValueInfoProto` of an input.
#[derive(Default)]
pub(crate) struct Input<'a> {
    pub(crate) name: &'a str,
    pub(crate) element: i64,
    /// Length of each dimension, 0 where it is open.
    pub(crate) shape: Vec<i64>,
}

/// `NodeProto`.
#[derive(Default)]
pub(crate) struct Node<'a> {
    pub(crate) operator: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    attributes: Vec<(&'a str, Message<'a>)>,
}

/// Real numbers as they were written.
pub(crate) enum Reals {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// `ModelProto`: its graph, and the version of ai.onnx.ml.
pub(crate) fn read(bytes: &[u8]) -> Result<(Graph<'_>, i64), ParseError> {
    let model = Message { bytes, at: 0 };
    let (mut graph, mut version) = (None, None);
    for field in model.fields() {
        let field = field?;
        match field.number {
            7 => graph = Some(field.message()?),
            8 => {
                let (domain, number) = opset(field.message()?)?;
                if domain == "ai.onnx.ml" {
                    version = Some(number);
                }
            }
            25 => return Err(ParseError::Unsupported("onnx model with functions of its own".to_owned())),
            _ => {}
        }
    }
    let graph = graph.ok_or_else(|| model.error("the model has no graph"))?;
    let version = version.ok_or_else(|| model.error("the model imports no operators of ai.onnx.ml"))?;
    Ok((read_graph(graph)?, version))
}

fn opset(message: Message<'_>) -> Result<(&str, i64), ParseError> {
    let (mut domain, mut version) = ("", 0);
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => domain = field.text()?,
            2 => version = field.integer()?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn read_graph(message: Message<'_>) -> Result<Graph<'_>, ParseError> {
    let mut graph = Graph::default();
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 if graph.nodes.len() >= MAX_NODES => {
                let (what, value) = ("onnx operators", graph.nodes.len() + 1);
                return Err(ParseError::TooLarge { what, value, limit: MAX_NODES });
            }
            1 => graph.nodes.push(read_node(field.message()?)?),
            5 => {
                let constant = field.message()?;
                graph.constants.insert(name_of(constant, 8)?, constant);
            }
            11 => graph.inputs.push(read_input(field.message()?)?),
            12 => graph.outputs.push(name_of(field.message()?, 1)?),
            15 => return Err(ParseError::Unsupported("onnx graph with sparse constants".to_owned())),
            _ => {}
        }
    }
    // Old files list constants among the inputs, too.
    graph.inputs.retain(|input| !graph.constants.contains_key(input.name));
    Ok(graph)
}

/// The text of the field `number`.
fn name_of(message: Message<'_>, number: u64) -> Result<&str, ParseError> {
    let mut name = "";
    for field in message.fields() {
        let field = field?;
        if field.number == number {
            name = field.text()?;
        }
    }
    Ok(name)
}

/// The message in the field `number`.
fn part(message: Message<'_>, number: u64) -> Result<Option<Message<'_>>, ParseError> {
    let mut found = None;
    for field in message.fields() {
        let field = field?;
        if field.number == number {
            found = Some(field.message()?);
        }
    }
    Ok(found)
}

fn read_input(message: Message<'_>) -> Result<Input<'_>, ParseError> {
    let mut input = Input { name: name_of(message, 1)?, ..Input::default() };
    let tensor = part(message, 2)?.map(|kind| part(kind, 1)).transpose()?.flatten();
    let Some(tensor) = tensor else { return Ok(input) };
    for field in tensor.fields() {
        let field = field?;
        match field.number {
            1 => input.element = field.integer()?,
            2 => {
                for dimension in field.message()?.fields() {
                    let mut length = 0;
                    for field in dimension?.message()?.fields() {
                        let field = field?;
                        if field.number == 1 {
                            length = field.integer()?;
                        }
                    }
                    input.shape.push(length);
                }
            }
            _ => {}
        }
    }
    Ok(input)
}

fn read_node(message: Message<'_>) -> Result<Node<'_>, ParseError> {
    let mut node = Node::default();
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => node.inputs.push(field.text()?),
            2 => node.outputs.push(field.text()?),
            4 => node.operator = field.text()?,
            5 => {
                let attribute = field.message()?;
                node.attributes.push((name_of(attribute, 1)?, attribute));
            }
            7 => node.domain = field.text()?,
            _ => {}
        }
    }
    if node.domain == "ai.onnx" {
        node.domain = "";
    }
    Ok(node)
}

impl<'a> Node<'a> {
    fn attribute(&self, name: &str) -> Option<Message<'a>> {
        self.attributes.iter().find(|(n, _)| *n == name).map(|(_, message)| *message)
    }

    /// Calls `each` with every field of the attribute.
    fn visit(
        &self,
        name: &str,
        mut each: impl FnMut(Field<'a>) -> Result<(), ParseError>,
    ) -> Result<(), ParseError> {
        self.attribute(name).map_or(Ok(()), |message| message.fields().try_for_each(|field| each(field?)))
    }

    pub(crate) fn integer(&self, name: &str, default: i64) -> Result<i64, ParseError> {
        let mut value = default;
        self.visit(name, |field| {
            if field.number == 3 {
                value = field.integer()?;
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub(crate) fn text(&self, name: &str, default: &'a str) -> Result<&'a str, ParseError> {
        let mut value = default;
        self.visit(name, |field| {
            if field.number == 4 {
                value = field.text()?;
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub(crate) fn integers(&self, name: &str) -> Result<Vec<i64>, ParseError> {
        let mut values = Vec::new();
        self.visit(name, |field| if field.number == 8 { field.integers(&mut values) } else { Ok(()) })?;
        Ok(values)
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>, ParseError> {
        let mut values = Vec::new();
        self.visit(name, |field| if field.number == 7 { field.floats(&mut values) } else { Ok(()) })?;
        Ok(values)
    }

    /// Calls `each` with every string of a list.
    pub(crate) fn each_text(
        &self,
        name: &str,
        mut each: impl FnMut(&'a str) -> Result<(), ParseError>,
    ) -> Result<(), ParseError> {
        self.visit(name, |field| if field.number == 9 { each(field.text()?) } else { Ok(()) })
    }

    /// Real numbers: a list of floats by this name, or a tensor by the name with `_as_tensor`.
    pub(crate) fn reals(&self, name: &str) -> Result<Reals, ParseError> {
        let floats = self.floats(name)?;
        match self.tensor(&format!("{name}_as_tensor"))? {
            Some(tensor) if floats.is_empty() => Ok(tensor),
            Some(_) => Err(ParseError::Unsupported(format!("onnx attribute {name} beside {name}_as_tensor"))),
            None => Ok(Reals::Single(floats)),
        }
    }

    /// Real numbers of a tensor; `None` where there is no such attribute.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Reals>, ParseError> {
        self.read_tensor(name)?.map(|tensor| tensor.reals(name)).transpose()
    }

    /// Bytes of a tensor.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<i64>, ParseError> {
        match self.read_tensor(name)? {
            None => Ok(Vec::new()),
            Some(Tensor { element: UINT8, raw: Some(raw), .. }) => {
                Ok(raw.bytes.iter().map(|&byte| i64::from(byte)).collect())
            }
            Some(Tensor { element: UINT8, integers, .. }) => Ok(integers),
            Some(Tensor { element, .. }) => {
                Err(ParseError::Unsupported(format!("onnx tensor {name} of element type {element}")))
            }
        }
    }

    fn read_tensor(&self, name: &str) -> Result<Option<Tensor<'a>>, ParseError> {
        let mut found = None;
        self.visit(name, |field| {
            if field.number == 5 {
                found = Some(field.message()?);
            }
            Ok(())
        })?;
        found.map(|message| Tensor::read(name, message)).transpose()
    }
}

/// `TensorProto`.
#[derive(Default)]
struct Tensor<'a> {
    element: i64,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    integers: Vec<i64>,
    raw: Option<Message<'a>>,
}

impl<'a> Tensor<'a> {
    fn read(name: &str, message: Message<'a>) -> Result<Self, ParseError> {
        let mut tensor = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                2 => tensor.element = field.integer()?,
                4 => field.floats(&mut tensor.floats)?,
                5 => field.integers(&mut tensor.integers)?,
                9 => tensor.raw = Some(field.message()?),
                10 => field.doubles(&mut tensor.doubles)?,
                13 => return Err(ParseError::Unsupported(format!("onnx tensor {name} in another file"))),
                _ => {}
            }
        }
        Ok(tensor)
    }

    fn reals(self, name: &str) -> Result<Reals, ParseError> {
        match (self.element, self.raw) {
            (FLOAT, None) => Ok(Reals::Single(self.floats)),
            (FLOAT, Some(raw)) => raw.fixed(f32::from_le_bytes).map(Reals::Single),
            (DOUBLE, None) => Ok(Reals::Double(self.doubles)),
            (DOUBLE, Some(raw)) => raw.fixed(f64::from_le_bytes).map(Reals::Double),
            (element, _) => {
                Err(ParseError::Unsupported(format!("onnx tensor {name} of element type {element}")))
            }
        }
    }
}

/// A constant's numbers, if they are real.
pub(crate) fn constant(name: &str, message: Message<'_>) -> Result<Reals, ParseError> {
    Tensor::read(name, message)?.reals(name)
}

impl Reals {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }

    pub(crate) fn is_double(&self) -> bool {
        matches!(self, Self::Double(_))
    }

    pub(crate) fn get(&self, i: usize) -> Option<f64> {
        match self {
            Self::Single(values) => values.get(i).map(|&v| f64::from(v)),
            Self::Double(values) => values.get(i).copied(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}
