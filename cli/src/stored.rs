//! Scores of a file: JSON lines, as `get --json`, `watch --json` and `score --local --lines --json` print them, or
//! documents with `scores`, as `list --json` prints one.
//!
//! Reading is streaming; memory holds one line, of at most [`MAX_LINE_BYTES`]. A line that is no score is an error
//! that names it: what is exported or replayed is whole, or nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use tribunal_core::Score;

use crate::exit::Failure;
use crate::output::shown;
use crate::show;

/// Most bytes of a line: a document of ten thousand scores.
const MAX_LINE_BYTES: u64 = 32 * 1024 * 1024;

/// A score and the vector that it was made of, if that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// The score.
    #[serde(flatten)]
    pub(crate) score: Score,
    /// The features; `null` is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vector: Option<Vec<Option<f32>>>,
}

/// A line: a score, or a document of scores.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Many { scores: Vec<Stored> },
    One(Box<Stored>),
}

/// The scores of a file, one after the other.
pub(crate) struct StoredScores {
    reader: Box<dyn BufRead>,
    name: String,
    number: u64,
    /// Read and not yet handed out, last first.
    queue: Vec<Stored>,
    /// Through the file.
    pub(crate) progress: ProgressBar,
}

impl StoredScores {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = shown(path);
        if path == Path::new("-") {
            return Ok(Self::new(Box::new(io::stdin().lock()), "standard input".to_owned(), None));
        }
        let file = File::open(path).map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))?;
        let total = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
        Ok(Self::new(Box::new(BufReader::new(file)), name, total))
    }

    fn new(reader: Box<dyn BufRead>, name: String, total_bytes: Option<u64>) -> Self {
        let progress = show::progress::bytes(total_bytes);
        Self { reader, name, number: 0, queue: Vec::new(), progress }
    }

    /// The next score.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Stored>> {
        loop {
            if let Some(stored) = self.queue.pop() {
                return Ok(Some(stored));
            }
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line);
            let read = read.with_context(|| format!("cannot read {}", self.name))? as u64;
            if read == 0 {
                self.progress.finish_and_clear();
                return Ok(None);
            }
            self.number += 1;
            self.progress.inc(read);
            self.queue = self.parse(&line)?;
        }
    }

    fn parse(&self, line: &[u8]) -> anyhow::Result<Vec<Stored>> {
        let refused = |why: String| {
            let message = format!("{}, line {}: {why}", self.name, self.number);
            Failure::usage(message).hint("give what `score --local --lines --json` or `get --json` print")
        };
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err(refused(format!("longer than {MAX_LINE_BYTES} bytes")).into());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        match serde_json::from_slice(line) {
            Ok(Line::One(stored)) => Ok(vec![*stored]),
            Ok(Line::Many { mut scores }) => {
                scores.reverse();
                Ok(scores)
            }
            Err(error) => Err(refused(format!("not a score: {error}")).into()),
        }
    }

    /// Every score of an entity, oldest request first.
    pub(crate) fn of_entity(mut self, entity: &str) -> anyhow::Result<Vec<Stored>> {
        let mut found = Vec::new();
        while let Some(stored) = self.next()? {
            if stored.score.entity == entity {
                found.push(stored);
            }
        }
        found.sort_by(|a, b| a.score.scored_key.cmp(&b.score.scored_key));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tribunal_core::Verdict;

    use super::*;
    use crate::show::scores::tests::{example, explained};

    fn read(text: &str) -> anyhow::Result<Vec<Stored>> {
        let mut scores =
            StoredScores::new(Box::new(Cursor::new(text.to_owned())), "scores.jsonl".to_owned(), None);
        let mut found = Vec::new();
        while let Some(stored) = scores.next()? {
            found.push(stored);
        }
        Ok(found)
    }

    #[test]
    fn lines_and_documents_are_read_to_the_last_bit() {
        let (a, b) = (explained(), example("good.org", Verdict::Benign, Some(0.1 + 0.2)));
        let line = |score: &Score| serde_json::to_string(score).unwrap();
        let text = format!("{}\n\n{{\"scores\":[{},{}],\"refused\":[]}}", line(&a), line(&b), line(&a));
        let found: Vec<Score> = read(&text).unwrap().into_iter().map(|stored| stored.score).collect();
        assert_eq!(found, [a.clone(), b, a]);
        let with_vector = line(&explained()).replacen('{', r#"{"vector":[0.1,null],"#, 1);
        assert_eq!(read(&with_vector).unwrap()[0].vector, Some(vec![Some(0.1), None]));
    }

    #[test]
    fn what_is_no_score_is_named_with_its_line() {
        let error = read("\n{\"entity\":\"a.com\"}\n").unwrap_err().to_string();
        assert!(error.starts_with("scores.jsonl, line 2: not a score: "), "{error}");
    }
}
