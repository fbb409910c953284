//! CatBoost's models: JSON (`save_model(format="json")`) and its binary format (`.cbm`).
//!
//! A row has all features in the order of training (CatBoost's flat index), those that no tree uses included.
//! Both formats number the model's borders: feature by feature, each in the order of its list. A tree names them by
//! number.
//!
//! A border sends `x > border` to the right, in `f32`. `NaN` is what the feature's treatment makes of it: minus
//! infinity (`AsFalse`), plus infinity (`AsTrue`), or `NaN` (`AsIs`, and features without missing values in
//! training), which is above no border. An oblivious tree has one border per level; bit i of a leaf's number is the
//! answer to border i, so that the last border stands at the root here and leaves are in order from left to right.
//!
//! The raw value is the sum over trees in `f64` from zero, in their order, times a scale, plus a bias per output.
//! CatBoost sums so for single rows and for blocks of rows, whatever their number. Its fast exponential function,
//! which softmax and the exponential answers use, is within a few units in the last place of the platform's.
//!
//! Source: `catboost/libs/model` of CatBoost 1.2: `model.cpp`, `flatbuffers/*.fbs`, `cpu/quantization.h`,
//! `cpu/evaluator_impl.cpp`, `scale_and_bias.cpp` and `model_export/json_model_helpers.cpp`.
//!
//! A one-hot split sends one value of a categorical feature to the right. In a row such a value is a code, a whole
//! number from 0 to 65535 (what is behind the point is not looked at), which stands for its decimal text; `NaN`,
//! negative and greater numbers are values that no split asks for.
//!
//! Refused by name: splits on values of categorical features that are not codes, on their statistics, on text and
//! embedding features, losses whose `predict` is not one of the links here.

mod build;
mod cbm;
mod codes;
mod flatbuffer;
mod json;
mod loss;
mod schema;

pub(crate) use cbm::from_cbm;
pub(crate) use json::from_json;
