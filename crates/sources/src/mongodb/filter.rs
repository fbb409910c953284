//! A declared filter: JSON with one variable, whose places become lists.
//!
//! ```toml
//! filter = { domain = { "$in" = ":entities" }, active = true }
//! ```
//! The variable stands only as the whole value of an `$in`, and becomes an array of strings: no text of a batch is ever
//! an operator, a field or a pattern. Operators are those of [`OPERATORS`]; others (`$where`, `$expr`, `$function`,
//! `$jsonSchema`, `$text`, ...) run code, or cost what nobody bounds. `{ "$date" = "2026-11-24T00:00:00Z" }` and
//! `{ "$oid" = "..." }` are a time and an object id.

use mongodb::bson::{Bson, DateTime, Document, oid::ObjectId};
use serde_json::{Map, Value};

use crate::params::Variable;

/// Operators that compare, and join comparisons.
const OPERATORS: [&str; 18] = [
    "$and",
    "$or",
    "$nor",
    "$not",
    "$in",
    "$nin",
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$exists",
    "$type",
    "$all",
    "$elemMatch",
    "$size",
    "$mod",
];
/// Deepest nesting.
const MAX_DEPTH: usize = 16;
/// Longest filter, in values.
const MAX_VALUES: usize = 1_000;

/// A checked filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    variable: Variable,
    template: Map<String, Value>,
}

/// What the check has met.
#[derive(Default)]
struct Met {
    variable: Option<Variable>,
    values: usize,
}

impl Filter {
    /// Checks a declared filter; the error says what is wrong with it.
    pub(crate) fn parse(template: &Map<String, Value>) -> Result<Self, String> {
        let mut met = Met::default();
        met.object(template, MAX_DEPTH)?;
        let variable = met.variable.ok_or_else(|| format!("none of {}", Variable::listed()))?;
        Ok(Self { variable, template: template.clone() })
    }

    /// What it asks for.
    pub(crate) const fn variable(&self) -> Variable {
        self.variable
    }

    /// The filter for these texts.
    pub(crate) fn document(&self, texts: &[&str]) -> Document {
        let list = Bson::Array(texts.iter().map(|text| Bson::String((*text).to_owned())).collect());
        document(&self.template, &list)
    }
}

impl Met {
    fn object(&mut self, object: &Map<String, Value>, depth: usize) -> Result<(), String> {
        for (name, value) in object {
            if name.contains('\0') {
                return Err("a NUL character in a name".to_owned());
            }
            if name.starts_with('$') && !OPERATORS.contains(&name.as_str()) {
                return Err(format!("operator {name}: one of {}", OPERATORS.join(" ")));
            }
            match value {
                Value::String(text) if name == "$in" && text.starts_with(':') => self.variable(text)?,
                _ => self.value(value, depth)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        let depth = depth.checked_sub(1).ok_or_else(|| format!("nested deeper than {MAX_DEPTH}"))?;
        match value {
            Value::String(text) if text.starts_with(':') => {
                Err(format!("{text} is not the value of an \"$in\""))
            }
            Value::Number(number) if number.as_i64().is_none() && !number.is_f64() => {
                Err(format!("the number {number}, {} at most", i64::MAX))
            }
            Value::Array(values) => values.iter().try_for_each(|value| self.value(value, depth)),
            Value::Object(object) => match literal(object) {
                Some(Some(_)) => Ok(()),
                Some(None) => Err("a $date or $oid that cannot be read".to_owned()),
                None => self.object(object, depth),
            },
            _ => Ok(()),
        }
    }

    fn variable(&mut self, text: &str) -> Result<(), String> {
        let variable = Variable::named(text)
            .ok_or_else(|| format!("unknown variable {text}: one of {}", Variable::listed()))?;
        if *self.variable.get_or_insert(variable) != variable {
            return Err(format!("more than one of {}", Variable::listed()));
        }
        Ok(())
    }
}

fn document(template: &Map<String, Value>, list: &Bson) -> Document {
    let value = |(name, value): (&String, &Value)| {
        let is_variable = name == "$in" && value.as_str().is_some_and(|text| text.starts_with(':'));
        (name.clone(), if is_variable { list.clone() } else { bson(value, list) })
    };
    template.iter().map(value).collect()
}

fn bson(value: &Value, list: &Bson) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Bson::Int64(number),
            None => number.as_f64().map_or(Bson::Null, Bson::Double),
        },
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(values) => Bson::Array(values.iter().map(|value| bson(value, list)).collect()),
        Value::Object(object) => match literal(object) {
            Some(literal) => literal.unwrap_or(Bson::Null),
            None => Bson::Document(document(object, list)),
        },
    }
}

/// The time or object id that an object stands for; `Some(None)` when it cannot be read.
fn literal(object: &Map<String, Value>) -> Option<Option<Bson>> {
    let (name, value) = object.iter().next().filter(|_| object.len() == 1)?;
    let text = value.as_str().unwrap_or_default();
    match name.as_str() {
        "$date" => {
            let time = text.parse::<jiff::Timestamp>().ok();
            Some(time.map(|time| Bson::DateTime(DateTime::from_millis(time.as_millisecond()))))
        }
        "$oid" => Some(ObjectId::parse_str(text).ok().map(Bson::ObjectId)),
        _ => None,
    }
}
