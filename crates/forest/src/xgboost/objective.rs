//! XGBoost's objectives: the link function, and the space of the base score.

use super::Version;
use crate::error::ParseError;
use crate::link::Link;

/// `kRtEps` of XGBoost.
const EPSILON: f32 = 1e-6;

/// What a prediction needs to know of an objective.
pub(super) struct Objective {
    pub(super) link: Link,
    space: Space,
}

/// How the base score of a file becomes a margin (`ProbToMargin`), computed in `f32`.
#[derive(Clone, Copy)]
enum Space {
    /// It is one.
    Margin,
    /// A probability. Bounded since 3.2, before then 0 and 1 were refused.
    Probability { bounded: bool },
    /// Its logarithm.
    Positive,
}

impl Objective {
    pub(super) fn find(name: &str, n_outputs: usize, version: Version) -> Result<Self, ParseError> {
        let probability = Space::Probability { bounded: version >= Version(3, 2) };
        // Up to 0.81 objectives had twins for graphics processors.
        let (link, space) = match name.strip_prefix("gpu:").unwrap_or(name) {
            "binary:logistic" | "reg:logistic" => (Link::Logistic { slope: 1.0 }, probability),
            "binary:logitraw" if version < Version(1, 3) => (Link::Logit, probability),
            "binary:logitraw" => (Link::Logit, Space::Margin),
            "binary:hinge" => (Link::Step, Space::Margin),
            "multi:softprob" => (Link::Softmax, Space::Margin),
            "multi:softmax" => (Link::SoftmaxClass, Space::Margin),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                (Link::Exp, Space::Positive)
            }
            "reg:quantileerror" if n_outputs > 1 && version >= Version(3, 4) => (Link::Sorted, Space::Margin),
            "reg:expectileerror" if n_outputs > 1 => {
                let kind = format!("xgboost objective {name} of several expectiles");
                return Err(ParseError::Unsupported(kind));
            }
            "reg:squarederror"
            | "reg:linear"
            | "reg:absoluteerror"
            | "reg:pseudohubererror"
            | "reg:quantileerror"
            | "reg:expectileerror"
            | "reg:squaredlogerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map" => (Link::Identity, Space::Margin),
            _ => return Err(ParseError::Unsupported(format!("xgboost objective {name}"))),
        };
        Ok(Self { link, space })
    }

    /// The base score as a margin.
    pub(super) fn margin(&self, score: f32, objective: &str) -> Result<f32, ParseError> {
        let wrong = |range: &str| ParseError::Member {
            member: "base_score",
            reason: format!("{score}, must be {range} for {objective}"),
        };
        match self.space {
            Space::Margin => Ok(score),
            Space::Positive if score > 0.0 => Ok(score.ln()),
            Space::Positive => Err(wrong("above 0")),
            Space::Probability { bounded: true } if (0.0..=1.0).contains(&score) => {
                Ok(logit(score.clamp(EPSILON, 1.0 - EPSILON)))
            }
            Space::Probability { bounded: false } if score > 0.0 && score < 1.0 => Ok(logit(score)),
            Space::Probability { .. } => Err(wrong("between 0 and 1")),
        }
    }
}

fn logit(probability: f32) -> f32 {
    -(1.0 / probability - 1.0).ln()
}
