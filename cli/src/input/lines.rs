//! Lines of a reader, each bounded in size, and the JSON that a line may hold.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};

use serde_json::Value;

use super::{Given, MAX_LINE_BYTES, Next, Refused};

/// Lines with their numbers from 1.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead + Send>) -> Self {
        Self { reader, number: 0, buffer: Vec::new() }
    }

    /// The next line without its end, or why it cannot be read; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<String, Refused>)>> {
        self.buffer.clear();
        let limit = MAX_LINE_BYTES as u64 + 2;
        if self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = Some(self.number);
        let ended = self.buffer.last() == Some(&b'\n');
        let mut text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if self.number == 1 {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if text.len() > MAX_LINE_BYTES {
            let refused = Refused::line_too_long(line, text);
            if !ended {
                skip_line(&mut self.reader)?;
            }
            return Ok(Some((self.number, Err(refused))));
        }
        let text = match std::str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Refused::not_utf8(line, text)),
        };
        Ok(Some((self.number, text)))
    }
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|b| *b == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Adds what a line of JSON holds.
pub(super) fn parse_json_line(line: u64, text: &str, into: &mut VecDeque<Next>) {
    if text.trim().is_empty() {
        return;
    }
    // serde_json stops at 128 levels, so nesting cannot exhaust the stack.
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(error) => {
            into.push_back(Err(Refused::new(
                Some(line),
                text,
                "invalid_json",
                &format!("not JSON: {error}"),
            )));
            return;
        }
    };
    let entities = match value {
        Value::Object(mut object) => match object.remove("entity").or_else(|| object.remove("entities")) {
            Some(value) => value,
            None => {
                let reason = "the object has neither entity nor entities";
                into.push_back(Err(Refused::new(Some(line), text, "invalid_json", reason)));
                return;
            }
        },
        value => value,
    };
    match entities {
        Value::Array(values) => into.extend(values.into_iter().map(|value| string(line, value))),
        value => into.push_back(string(line, value)),
    }
}

fn string(line: u64, value: Value) -> Next {
    match value {
        Value::String(text) => Ok(Given { line: Some(line), text }),
        other => Err(Refused::new(
            Some(line),
            &other.to_string(),
            "invalid_json",
            "an entity is a string, this is not",
        )),
    }
}
