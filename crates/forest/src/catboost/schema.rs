//! Numbers of the fields of CatBoost's tables: their order in `model.fbs`, `features.fbs` and `ctr_data.fbs`.

pub(in crate::catboost) mod core {
    pub(in crate::catboost) const FORMAT_VERSION: usize = 0;
    pub(in crate::catboost) const MODEL_TREES: usize = 1;
    pub(in crate::catboost) const INFO_MAP: usize = 2;
}
pub(in crate::catboost) mod key_value {
    pub(in crate::catboost) const KEY: usize = 0;
    pub(in crate::catboost) const VALUE: usize = 1;
}
pub(in crate::catboost) mod trees {
    pub(in crate::catboost) const APPROX_DIMENSION: usize = 0;
    pub(in crate::catboost) const TREE_SPLITS: usize = 1;
    pub(in crate::catboost) const TREE_SIZES: usize = 2;
    pub(in crate::catboost) const TREE_START_OFFSETS: usize = 3;
    pub(in crate::catboost) const CAT_FEATURES: usize = 4;
    pub(in crate::catboost) const FLOAT_FEATURES: usize = 5;
    pub(in crate::catboost) const ONE_HOT_FEATURES: usize = 6;
    pub(in crate::catboost) const CTR_FEATURES: usize = 7;
    pub(in crate::catboost) const LEAF_VALUES: usize = 8;
    pub(in crate::catboost) const LEAF_WEIGHTS: usize = 9;
    pub(in crate::catboost) const STEP_NODES: usize = 10;
    pub(in crate::catboost) const NODE_TO_LEAF: usize = 11;
    pub(in crate::catboost) const TEXT_FEATURES: usize = 12;
    pub(in crate::catboost) const ESTIMATED_FEATURES: usize = 13;
    pub(in crate::catboost) const SCALE: usize = 14;
    pub(in crate::catboost) const BIAS: usize = 15;
    pub(in crate::catboost) const MULTI_BIAS: usize = 16;
    pub(in crate::catboost) const EMBEDDING_FEATURES: usize = 18;
}
/// The same for every kind of feature.
pub(in crate::catboost) mod feature {
    pub(in crate::catboost) const INDEX: usize = 0;
    pub(in crate::catboost) const FLAT_INDEX: usize = 1;
    pub(in crate::catboost) const ID: usize = 2;
}
pub(in crate::catboost) mod float_feature {
    pub(in crate::catboost) const HAS_NANS: usize = 0;
    pub(in crate::catboost) const FLAT_INDEX: usize = 2;
    pub(in crate::catboost) const BORDERS: usize = 3;
    pub(in crate::catboost) const ID: usize = 4;
    pub(in crate::catboost) const NAN_TREATMENT: usize = 5;
}
pub(in crate::catboost) mod one_hot_feature {
    pub(in crate::catboost) const VALUES: usize = 1;
}
pub(in crate::catboost) mod estimated_feature {
    pub(in crate::catboost) const BORDERS: usize = 3;
}
pub(in crate::catboost) mod ctr_feature {
    pub(in crate::catboost) const BORDERS: usize = 1;
}
