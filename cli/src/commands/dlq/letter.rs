//! A message of the dead-letter queue, as it is shown.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use serde::Serialize;
use tribunal_core::time::rfc3339_millis;

use crate::output::cut;

/// Reason code of a message that dispatch did not refuse: it failed until SQS gave it up.
pub(super) const FAILED: &str = "failed";
/// Most bytes of a body that `--json` shows.
const SHOWN_BODY_BYTES: usize = 4_096;

/// A message of the dead-letter queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Letter {
    /// Id of the message on the dead-letter queue.
    pub(super) id: String,
    /// Stable code of the reason; `failed` when SQS gave the message up.
    pub(super) reason_code: String,
    /// The reason, for a person.
    pub(super) reason: String,
    /// The entity that the reason is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entity: Option<String>,
    /// When it was sent, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sent_at: Option<String>,
    #[serde(skip)]
    pub(super) sent_at_ms: Option<u64>,
    /// Deliveries, looks at the dead-letter queue included.
    pub(super) receives: u32,
    /// Every other attribute of the message.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, String>,
    /// The body; cut at 4,096 bytes when shown.
    #[serde(serialize_with = "shown_body")]
    pub(super) body: String,
}

fn shown_body<S: serde::Serializer>(body: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&cut(body, SHOWN_BODY_BYTES))
}

impl Letter {
    /// A message; `tries` is after how many deliveries SQS gives a message up, if that is known.
    pub(super) fn new(message: Message, tries: Option<u64>) -> Self {
        let system = message.attributes.unwrap_or_default();
        let number = |name| system.get(&name).and_then(|text: &String| text.parse::<u64>().ok());
        let sent_at_ms = number(MessageSystemAttributeName::SentTimestamp);
        let receives = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
        let mut attributes: BTreeMap<String, String> = message
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect();
        let reason_code = attributes.remove("reason_code").unwrap_or_else(|| FAILED.to_owned());
        let reason = attributes.remove("reason").unwrap_or_else(|| {
            // Not the count of deliveries: every look at the message raises that.
            let often = tries.map_or_else(|| "too often".to_owned(), |tries| format!("{tries} times"));
            format!("failed {often}: the logs of the functions say why")
        });
        Self {
            id: message.message_id.unwrap_or_default(),
            reason_code,
            reason,
            entity: attributes.remove("entity"),
            sent_at: sent_at_ms.map(rfc3339_millis),
            sent_at_ms,
            receives: u32::try_from(receives).unwrap_or(u32::MAX),
            attributes,
            body: message.body.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;

    fn text(value: &str) -> MessageAttributeValue {
        MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
    }

    #[test]
    fn a_refused_message_has_the_reason_of_its_attributes() {
        let message = Message::builder()
            .message_id("m-1")
            .body("10.0.0.0/8")
            .attributes(MessageSystemAttributeName::SentTimestamp, "1795506598123")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "2")
            .message_attributes("reason_code", text("cidr"))
            .message_attributes("reason", text("a network"))
            .message_attributes("entity", text("10.0.0.0/8"))
            .message_attributes("message_id", text("m-0"))
            .build();
        insta::assert_json_snapshot!(Letter::new(message, Some(3)), @r#"
        {
          "id": "m-1",
          "reason_code": "cidr",
          "reason": "a network",
          "entity": "10.0.0.0/8",
          "sent_at": "2026-11-24T07:49:58.123Z",
          "receives": 2,
          "attributes": {
            "message_id": "m-0"
          },
          "body": "10.0.0.0/8"
        }
        "#);
    }

    #[test]
    fn a_message_that_was_given_up_says_how_often_it_failed() {
        let message = Message::builder()
            .body("x".repeat(5_000))
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "4")
            .build();
        let letter = Letter::new(message.clone(), Some(3));
        assert_eq!(letter.reason_code, FAILED);
        assert_eq!(letter.reason, "failed 3 times: the logs of the functions say why");
        let unknown = Letter::new(message, None).reason;
        assert_eq!(unknown, "failed too often: the logs of the functions say why");
        assert_eq!(letter.body.len(), 5_000);
        assert!(serde_json::to_string(&letter).unwrap().len() < 4_500);
    }
}
