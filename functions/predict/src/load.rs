//! From a registry to a predictor: the files are whole already, here they become trees that fit their
//! manifest.

use std::time::Duration;

use tribunal_characters::CharacterModel;
use tribunal_core::{ErrorName, Kind};
use tribunal_forest::{Forest, Format, ParseError};
use tribunal_registry::{LoadedModel, Part, PointerState, Registry, RegistryError};
use tribunal_runtime::Found;

use crate::part::{Engine, RunnablePart};
use crate::predictor::Predictor;

/// Why there is no predictor.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The registry does not give the model.
    #[error("cannot load model {model:?}")]
    Registry {
        /// Name of the model.
        model: String,
        /// Why; names the object.
        source: Box<RegistryError>,
    },
    /// The registry did not answer in time.
    #[error("cannot load model {model:?}: {location} did not answer within {limit_ms} ms")]
    TimedOut {
        /// Name of the model.
        model: String,
        /// The registry.
        location: String,
        /// The limit.
        limit_ms: u128,
    },
    /// The manifest says a format that is not known.
    #[error("{object}: format {format:?} is not known, known are {known}", known = formats())]
    Format {
        /// Path of the file.
        object: String,
        /// The format said.
        format: String,
    },
    /// The format is read by the command line only.
    #[error(
        "{object}: {format} is not served as it is; compile it with `tribunal model compile` and publish that"
    )]
    NotServed {
        /// Path of the file.
        object: String,
        /// The format.
        format: Format,
    },
    /// The file is not a sound model of its format.
    #[error("{object} cannot be run as {format}")]
    Parse {
        /// Path of the file.
        object: String,
        /// The format.
        format: Format,
        /// The place and the reason.
        source: ParseError,
    },
    /// The file is not a sound network over characters.
    #[error("{object} cannot be run as {format}", format = tribunal_characters::FORMAT)]
    Characters {
        /// Path of the file.
        object: String,
        /// The place and the reason.
        source: tribunal_characters::ParseError,
    },
    /// The manifest lets it answer for what it cannot read.
    #[error("{object} reads names, but its manifest lets it answer for the kind {}", kind.as_str())]
    NamesOnly {
        /// Path of the file.
        object: String,
        /// The kind.
        kind: Kind,
    },
    /// The file and the manifest do not fit each other.
    #[error("{object} reads {found} features, but its manifest names {named}")]
    FeatureCount {
        /// Path of the file.
        object: String,
        /// Features of the file.
        found: usize,
        /// Features of the manifest.
        named: usize,
    },
    /// The file names the same features as the manifest, in another order.
    #[error("{object}: feature {position} is {found:?}, but its manifest says {named:?}")]
    FeatureOrder {
        /// Path of the file.
        object: String,
        /// The first position that differs.
        position: usize,
        /// Name in the file.
        found: String,
        /// Name in the manifest.
        named: String,
    },
    /// The model gives no probability.
    #[error("{object}: objective {objective:?} does not give a probability")]
    NoProbability {
        /// Path of the file.
        object: String,
        /// The objective.
        objective: String,
    },
    /// The model answers more than one question.
    #[error(
        "{object} gives {outputs} values a row, must give one: the probability that an entity is malicious"
    )]
    Outputs {
        /// Path of the file.
        object: String,
        /// Classes or targets.
        outputs: usize,
    },
}

impl LoadError {
    /// The name that a state machine is to see.
    pub fn error_name(&self) -> ErrorName {
        match self {
            Self::Registry { source, .. } => source.error_name(ErrorName::ModelUnavailable),
            Self::TimedOut { .. } => ErrorName::StoreUnavailable,
            _ => ErrorName::ModelUnavailable,
        }
    }
}

impl Predictor {
    /// Loads the model `name` that is in force.
    ///
    /// # Errors
    /// When the registry does not give it, or its files cannot be run.
    pub async fn load(registry: &Registry, name: &str) -> Result<Self, LoadError> {
        let loaded = registry.load_model(name).await.map_err(|source| failed(name, source))?;
        Self::from_model(&loaded)
    }

    /// Like [`Predictor::load`], within a time, and with the pointer's ETag.
    pub(crate) async fn load_within(
        registry: &Registry,
        name: &str,
        limit: Duration,
    ) -> Result<Found<Self>, LoadError> {
        let load = async {
            let state = registry.model_state(name, None).await.map_err(|source| failed(name, source))?;
            let PointerState::InForce { pointer, etag } = state else {
                return Ok((Self::load(registry, name).await?, None));
            };
            let loaded = registry.load_model_version(name, &pointer).await;
            Ok((Self::from_model(&loaded.map_err(|source| failed(name, source))?)?, etag))
        };
        tokio::time::timeout(limit, load).await.unwrap_or_else(|_| Err(timed_out(registry, name, limit)))
    }

    /// The model `name` that is in force, if it is another than the one with `digest`, whose pointer's ETag is
    /// `known`. Its files are read and checked on another thread, so that events go on.
    pub(crate) async fn newer_within(
        registry: &Registry,
        name: &str,
        known: Option<&str>,
        digest: &str,
        limit: Duration,
    ) -> Result<Option<Found<Self>>, LoadError> {
        let load = async {
            let state = registry.model_state(name, known).await.map_err(|source| failed(name, source))?;
            let PointerState::InForce { pointer, etag } = state else { return Ok(None) };
            if pointer.digest == digest {
                return Ok(None);
            }
            let loaded = registry.load_model_version(name, &pointer).await;
            let loaded = loaded.map_err(|source| failed(name, source))?;
            match tokio::task::spawn_blocking(move || Self::from_model(&loaded)).await {
                Ok(predictor) => Ok(Some((predictor?, etag))),
                // The process ends.
                Err(_) => Ok(None),
            }
        };
        tokio::time::timeout(limit, load).await.unwrap_or_else(|_| Err(timed_out(registry, name, limit)))
    }

    /// The predictor of a model that was loaded.
    ///
    /// # Errors
    /// When one of its files cannot be run.
    pub fn from_model(model: &LoadedModel) -> Result<Self, LoadError> {
        let manifest = &model.manifest;
        let parts: Result<Vec<RunnablePart>, LoadError> = model
            .parts
            .iter()
            .map(|(part, bytes)| {
                let object = format!("models/{}/versions/{}/{}", manifest.name, manifest.version, part.file);
                runnable(part, bytes, object)
            })
            .collect();
        Ok(Self::new(manifest.name.clone(), manifest.version.clone(), model.manifest_digest.clone(), parts?))
    }
}

fn failed(model: &str, source: RegistryError) -> LoadError {
    LoadError::Registry { model: model.to_owned(), source: Box::new(source) }
}

fn timed_out(registry: &Registry, model: &str, limit: Duration) -> LoadError {
    let (model, location) = (model.to_owned(), registry.location().to_owned());
    LoadError::TimedOut { model, location, limit_ms: limit.as_millis() }
}

fn runnable(part: &Part, bytes: &[u8], object: String) -> Result<RunnablePart, LoadError> {
    let engine = if part.format == tribunal_characters::FORMAT {
        Engine::Characters(Box::new(characters(part, bytes, object)?))
    } else {
        Engine::Trees(Box::new(trees(part, bytes, object)?))
    };
    Ok(RunnablePart {
        kinds: part.kinds.clone(),
        features: part.features.clone(),
        optional: part.optional.clone(),
        explain_from: part.explain_from,
        with_bounds: true,
        calibration: part.calibration.clone(),
        engine,
    })
}

fn characters(part: &Part, bytes: &[u8], object: String) -> Result<CharacterModel, LoadError> {
    if let Some(kind) = part.kinds.iter().find(|kind| **kind != Kind::Domain) {
        return Err(LoadError::NamesOnly { object, kind: *kind });
    }
    if !part.features.is_empty() {
        return Err(LoadError::FeatureCount { object, found: 0, named: part.features.len() });
    }
    CharacterModel::parse(bytes).map_err(|source| LoadError::Characters { object, source })
}

fn trees(part: &Part, bytes: &[u8], object: String) -> Result<Forest, LoadError> {
    let Some(format) = Format::ALL.into_iter().find(|f| f.as_str() == part.format) else {
        return Err(LoadError::Format { object, format: part.format.clone() });
    };
    if !Format::SERVED.contains(&format) {
        return Err(LoadError::NotServed { object, format });
    }
    let forest = match Forest::parse_served(bytes, format) {
        Ok(forest) => forest,
        Err(source) => return Err(LoadError::Parse { object, format, source }),
    };
    if forest.n_features() != part.features.len() {
        let (found, named) = (forest.n_features(), part.features.len());
        return Err(LoadError::FeatureCount { object, found, named });
    }
    if forest.n_outputs() != 1 {
        return Err(LoadError::Outputs { object, outputs: forest.n_outputs() });
    }
    if !forest.link().gives_probabilities() {
        return Err(LoadError::NoProbability { object, objective: forest.objective().to_owned() });
    }
    if let Some((position, found, named)) = reordered(forest.feature_names(), &part.features) {
        return Err(LoadError::FeatureOrder { object, position, found, named });
    }
    // While nobody waits for an answer.
    forest.prepare();
    Ok(forest)
}

/// The first difference between the names in a file and those in its manifest, when both are the same names:
/// a permutation, which would be run without a complaint and be wrong. Other names (`Column_0`) say nothing.
fn reordered(file: Option<&[String]>, manifest: &[String]) -> Option<(usize, String, String)> {
    let file = file?;
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let position = file.iter().zip(manifest).position(|(a, b)| a != b)?;
    if sorted(file) != sorted(manifest) {
        return None;
    }
    Some((position, file.get(position)?.clone(), manifest.get(position)?.clone()))
}

fn formats() -> String {
    Format::ALL
        .map(Format::as_str)
        .into_iter()
        .chain([tribunal_characters::FORMAT])
        .collect::<Vec<_>>()
        .join(", ")
}
