//! What CatBoost was trained for, and how its answer comes from the raw value.

use serde::Deserialize;

use crate::error::ParseError;
use crate::link::Link;

/// The part of the training parameters that is read.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    loss_function: Option<Loss>,
}

#[derive(Debug, Deserialize)]
struct Loss {
    r#type: String,
}

impl Parameters {
    /// The name of the loss and its link; `none` for a model without parameters (a sum of models), whose answer is
    /// its raw value.
    pub(super) fn objective(self) -> Result<(String, Link), ParseError> {
        let Some(Loss { r#type: name }) = self.loss_function else {
            return Ok(("none".to_owned(), Link::Identity));
        };
        match link_of(&name) {
            Some(link) => Ok((name, link)),
            None => {
                let name: String = name.chars().take(40).collect();
                Err(ParseError::Unsupported(format!("catboost loss {name}")))
            }
        }
    }
}

fn link_of(loss: &str) -> Option<Link> {
    Some(match loss {
        "Logloss" | "CrossEntropy" | "Focal" | "MultiClassOneVsAll" | "MultiLogloss"
        | "MultiCrossEntropy" => Link::Logistic { slope: 1.0 },
        "MultiClass" => Link::Softmax,
        "Poisson" | "Tweedie" => Link::Exp,
        // The raw value, which is what `predict` gives, too.
        "RMSE"
        | "MAE"
        | "Quantile"
        | "MultiQuantile"
        | "GroupQuantile"
        | "LogLinQuantile"
        | "Expectile"
        | "MAPE"
        | "RMSPE"
        | "Lq"
        | "Huber"
        | "LogCosh"
        | "MultiRMSE"
        | "MultiRMSEWithMissingValues"
        | "SurvivalAft"
        | "Cox"
        | "PairLogit"
        | "PairLogitPairwise"
        | "YetiRank"
        | "YetiRankPairwise"
        | "QueryRMSE"
        | "QuerySoftMax"
        | "QueryCrossEntropy"
        | "StochasticFilter"
        | "StochasticRank"
        | "LambdaMart"
        | "PythonUserDefinedPerObject"
        | "PythonUserDefinedMultiTarget" => Link::Identity,
        _ => return None,
    })
}
