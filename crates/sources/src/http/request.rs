//! Which requests a batch needs, and whose replies each one's answer holds.

use std::collections::{BTreeSet, HashMap};

use reqwest::Url;

use crate::config::{HttpConfig, Method};
use crate::open::OpenError;
use crate::source::{Record, Replies, SourceError, Subject};
use crate::template::{BodyTemplate, MAX_URL_BYTES, Unrenderable, UrlTemplate, Values, Variable};

/// Most entities of one request that any declaration allows.
const MAX_BATCH: usize = 1_000;

/// One request, and whose replies its answer holds.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
    /// The entities that it asks about, with the positions of their subjects.
    pub(super) groups: Vec<(String, Vec<usize>)>,
}

impl Request {
    /// The position of its subject, if it has only one.
    pub(super) fn sole_position(&self) -> Option<usize> {
        match self.groups.as_slice() {
            [(_, positions)] => match positions.as_slice() {
                [position] => Some(*position),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A subject, with the positions of all that are about its entity.
type Group<'a> = (Subject<'a>, Vec<usize>);

/// How requests are made of subjects.
#[derive(Debug)]
pub(super) struct Plan {
    url: UrlTemplate,
    body: Option<BodyTemplate>,
    /// Last labels of the names that are asked about; anything if there are none.
    tlds: BTreeSet<String>,
    /// Most entities of one request; `None` if a request is about one.
    batch: Option<usize>,
}

impl Plan {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, OpenError> {
        let url = UrlTemplate::parse(&config.url).map_err(|reason| OpenError::new("http.url", reason))?;
        let body = match (&config.body, config.method) {
            (Some(_), Method::GET) => return Err(OpenError::new("http.body", "only a POST has a body")),
            (Some(text), Method::POST) => {
                Some(BodyTemplate::parse(text).map_err(|reason| OpenError::new("http.body", reason))?)
            }
            (None, _) => None,
        };
        Ok(Self { tlds: tlds_of(config)?, batch: batch_of(config, &url, body.as_ref())?, url, body })
    }

    /// The URL with `x` for every variable.
    pub(super) const fn origin(&self) -> &Url {
        self.url.origin()
    }

    /// Whether a request is about many entities.
    pub(super) const fn is_of_many(&self) -> bool {
        self.batch.is_some()
    }

    pub(super) fn subjects_per_request(&self) -> usize {
        self.batch.unwrap_or(1)
    }

    /// The requests to make. Subjects that are not asked about have their reply already.
    pub(super) fn requests(&self, subjects: &[Subject<'_>], replies: &Replies) -> Vec<Request> {
        let groups = self.groups(subjects, replies);
        match self.batch {
            None => self.of_one(groups, replies),
            Some(batch) => self.of_many(groups, batch, replies),
        }
    }

    /// The entities that are asked about, each once. The others are known to nobody.
    fn groups<'a>(&self, subjects: &[Subject<'a>], replies: &Replies) -> Vec<Group<'a>> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut groups: Vec<Group<'a>> = Vec::new();
        for (position, subject) in subjects.iter().enumerate() {
            let tld = values_of(subject).tld;
            if !self.tlds.is_empty() && !tld.is_some_and(|tld| self.tlds.contains(tld)) {
                replies.put(position, Ok(Record::default()));
                continue;
            }
            let place = *places.entry(subject.entity.name()).or_insert(groups.len());
            match groups.get_mut(place) {
                Some((_, positions)) => positions.push(position),
                None => groups.push((*subject, vec![position])),
            }
        }
        groups
    }

    /// One request for each entity, and the same request once: two names of one registrable domain.
    fn of_one(&self, groups: Vec<Group<'_>>, replies: &Replies) -> Vec<Request> {
        let mut places = HashMap::new();
        let mut requests: Vec<Request> = Vec::new();
        for (subject, positions) in groups {
            let (url, body) = match self.render(&values_of(&subject)) {
                Ok(rendered) => rendered,
                Err(error) => {
                    unrendered(error, &positions, replies);
                    continue;
                }
            };
            let place = *places.entry((url.clone(), body.clone())).or_insert(requests.len());
            match requests.get_mut(place).and_then(|same| same.groups.first_mut()) {
                Some((_, same)) => same.extend(positions),
                None => {
                    let groups = vec![(subject.entity.name().to_owned(), positions)];
                    requests.push(Request { url, body, groups });
                }
            }
        }
        requests
    }

    /// Requests about at most `batch` entities each, whose URLs servers take.
    fn of_many(&self, groups: Vec<Group<'_>>, batch: usize, replies: &Replies) -> Vec<Request> {
        let in_url = self.url.variables().count();
        let room = MAX_URL_BYTES.saturating_sub(self.origin().as_str().len());
        let mut chunks: Vec<Vec<(String, Vec<usize>)>> = Vec::new();
        let mut bytes = 0;
        for (subject, positions) in groups {
            let name = subject.entity.name();
            let more = in_url * (UrlTemplate::encoded_bytes(name) + 1);
            let is_full = |last: &Vec<_>| last.len() >= batch || bytes + more > room;
            match chunks.last_mut().filter(|last| !is_full(last)) {
                Some(last) => {
                    last.push((name.to_owned(), positions));
                    bytes += more;
                }
                None => {
                    chunks.push(vec![(name.to_owned(), positions)]);
                    bytes = more;
                }
            }
        }
        chunks.into_iter().filter_map(|groups| self.about(groups, replies)).collect()
    }

    fn about(&self, groups: Vec<(String, Vec<usize>)>, replies: &Replies) -> Option<Request> {
        let entities: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
        match self.render(&Values { entities: &entities, ..Values::default() }) {
            Ok((url, body)) => Some(Request { url, body, groups }),
            Err(error) => {
                groups.iter().for_each(|(_, positions)| unrendered(error, positions, replies));
                None
            }
        }
    }

    fn render(&self, values: &Values<'_>) -> Result<(Url, Option<Vec<u8>>), Unrenderable> {
        let url = self.url.render(values)?;
        let body = self.body.as_ref().map(|body| body.render(values)).transpose()?;
        Ok((url, body.map(|body| body.to_string().into_bytes())))
    }
}

fn tlds_of(config: &HttpConfig) -> Result<BTreeSet<String>, OpenError> {
    let is_label = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match config.tlds.iter().find(|tld| !is_label(tld)) {
        Some(tld) => Err(OpenError::new("http.tlds", format!("{tld:?} is not a label as in com, xn--p1ai"))),
        None => Ok(config.tlds.iter().cloned().collect()),
    }
}

/// Whether a request is about many entities, by the variables that are used.
fn batch_of(
    config: &HttpConfig,
    url: &UrlTemplate,
    body: Option<&BodyTemplate>,
) -> Result<Option<usize>, OpenError> {
    let mut variables: Vec<Variable> = url.variables().collect();
    variables.extend(body.map(BodyTemplate::variables).unwrap_or_default());
    let refused = |key: &str, reason: String| Err(OpenError::new(key, reason));
    if variables.is_empty() {
        return refused("http.url", "no variable, so every entity would have the same answer".to_owned());
    }
    if !variables.contains(&Variable::Entities) {
        return match config.key {
            Some(_) => refused("http.key", "is for answers to {entities}".to_owned()),
            None => Ok(None),
        };
    }
    if let Some(other) = variables.iter().find(|variable| **variable != Variable::Entities) {
        return refused("http.url", format!("{{entities}} asks about many, and {other} about one"));
    }
    if !(1..=MAX_BATCH).contains(&config.batch) {
        return refused("http.batch", format!("{}, and must be from 1 to {MAX_BATCH}", config.batch));
    }
    Ok(Some(config.batch))
}

fn values_of<'a>(subject: &Subject<'a>) -> Values<'a> {
    let entity = subject.entity;
    let is_name = entity.address().is_none();
    Values {
        entity: Some(entity.name()),
        registrable_domain: entity.registrable_domain(),
        tld: entity.name().rsplit('.').next().filter(|_| is_name),
        entities: &[],
    }
}

/// A service that is asked by registrable domain knows nothing of an address.
fn unrendered(error: Unrenderable, positions: &[usize], replies: &Replies) {
    for position in positions {
        replies.put(
            *position,
            match error {
                Unrenderable::NoValue(_) => Ok(Record::default()),
                other => Err(SourceError::Failed { code: "request".to_owned(), source: Some(other.into()) }),
            },
        );
    }
}
