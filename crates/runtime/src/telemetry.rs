//! One structured log line per event, which CloudWatch also reads as metrics.
//!
//! The line is a JSON object in CloudWatch's embedded metric format (EMF, specification version 0): its `_aws`
//! member says which members are metrics, all others are fields to search. Dimensions are `Function` and, for a
//! predictor, `Model`. Values never hold secrets, payloads or entity names.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// Namespace of every metric.
const NAMESPACE: &str = "Tribunal";

/// Unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// The log line of one event, while it is filled in.
#[derive(Debug, Clone)]
pub struct EventLog {
    dimensions: Vec<String>,
    metrics: Vec<Value>,
    fields: Map<String, Value>,
}

impl EventLog {
    /// A line for an event of `function`.
    pub fn new(function: &str) -> Self {
        let mut log = Self { dimensions: Vec::new(), metrics: Vec::new(), fields: Map::new() };
        log.dimension("Function", function);
        log
    }

    /// Adds a dimension: a field by which metrics are told apart.
    pub fn dimension(&mut self, name: &str, value: &str) {
        self.dimensions.push(name.to_owned());
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Adds a metric.
    pub fn metric(&mut self, name: &str, unit: Unit, value: f64) {
        self.metrics.push(json!({"Name": name, "Unit": unit.as_str()}));
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Adds a metric that counts things.
    pub fn count(&mut self, name: &str, count: usize) {
        self.metrics.push(json!({"Name": name, "Unit": Unit::Count.as_str()}));
        self.fields.insert(name.to_owned(), count.into());
    }

    /// The line, without a line feed.
    pub fn to_line(&self, timestamp_ms: u64) -> String {
        let mut line = self.fields.clone();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": timestamp_ms,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [self.dimensions],
                    "Metrics": self.metrics,
                }],
            }),
        );
        Value::Object(line).to_string()
    }

    /// Writes the line to standard output, where Lambda collects it. A closed output is no reason to fail.
    pub fn emit(&self) {
        let line = self.to_line(now_ms());
        drop(writeln!(std::io::stdout().lock(), "{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_in_embedded_metric_format() {
        let mut log = EventLog::new("predict");
        log.dimension("Model", "xgboost");
        log.field("batch", "b-1");
        log.count("Abstentions", 3);
        log.metric("DurationMs", Unit::Milliseconds, 1.5);
        let line: Value = serde_json::from_str(&log.to_line(1_700_000_000_000)).unwrap();
        assert_eq!(
            line,
            json!({
                "Function": "predict", "Model": "xgboost", "batch": "b-1", "Abstentions": 3, "DurationMs": 1.5,
                "_aws": {"Timestamp": 1_700_000_000_000_u64, "CloudWatchMetrics": [{
                    "Namespace": "Tribunal",
                    "Dimensions": [["Function", "Model"]],
                    "Metrics": [{"Name": "Abstentions", "Unit": "Count"},
                                {"Name": "DurationMs", "Unit": "Milliseconds"}],
                }]},
            })
        );
        assert!(!log.to_line(0).contains('\n'));
    }
}
