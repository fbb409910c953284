//! The cases. Each takes a fixture, so that every adapter passes the same ones.

use std::time::Duration;

use tribunal_core::Entity;
use tribunal_sources::source::{Replies, Reply, Subject};
use tribunal_sources::{Source, SourceError};

use crate::fixture::{CONCURRENCY, Fixture, Form, KNOWN_BELOW, is_known, name};
use crate::gate::Gate;
use crate::server::left_out;

/// Far above what any case takes; a case that takes it hangs.
const HANGS: Duration = Duration::from_secs(60);
/// What a caller gives a source that does not answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// Every case, as a test of one adapter: `contract!(module, Fixture)`.
#[macro_export]
macro_rules! contract {
    ($module:ident, $fixture:ty) => {
        $crate::contract!(@cases $module, $fixture, [found, not_found, connections_are_kept, some_of_many, subjects_twice, a_thousand, late,
            silent_at_connect, refused, wrong_password, key_missing, key_of_wrong_type, too_large, cut_in_the_middle,
            killed_and_back, hostile_names, garbled]);
    };
    (@cases $module:ident, $fixture:ty, [$($case:ident),*]) => {
        mod $module {
            $(#[tokio::test]
            async fn $case() {
                // Before the clock starts: the first time its server may have to be built.
                let _ = <$fixture as $crate::fixture::Fixture>::shared();
                $crate::suite::run(Box::pin($crate::suite::$case::<$fixture>())).await;
            })*
        }
    };
}

/// Runs a case that must not hang.
pub async fn run(case: std::pin::Pin<Box<dyn Future<Output = ()>>>) {
    tokio::time::timeout(HANGS, case).await.expect("the case hangs");
}

/// What one batch came to.
pub struct Asked {
    pub result: Result<(), SourceError>,
    pub replies: Vec<Option<Reply>>,
}

impl Asked {
    /// The code of the error that subject 0 has: its own, or that of the batch.
    pub fn code(&self) -> &'static str {
        match (&self.replies[0], &self.result) {
            (Some(Err(error)), _) | (None, Err(error)) => error.code(),
            (Some(Ok(_)), _) => "ok",
            (None, Ok(())) => panic!("neither a reply nor an error"),
        }
    }

    /// The rows of one subject.
    pub fn rows(&self, position: usize) -> &[serde_json::Value] {
        match &self.replies[position] {
            Some(Ok(record)) => &record.rows,
            other => panic!("{other:?}, {:?}", self.result),
        }
    }
}

/// Asks about names.
pub async fn ask<S: AsRef<str>>(source: &dyn Source, names: &[S]) -> Asked {
    let entities: Vec<_> = names.iter().map(|name| Entity::parse(name.as_ref()).unwrap()).collect();
    let subjects: Vec<_> = entities.iter().map(|entity| Subject { entity, facts: None }).collect();
    let replies = Replies::new(subjects.len());
    let result = source.ask(&subjects, &replies).await;
    Asked { result, replies: replies.into_inner() }
}

/// Whether the source answers as it should about a name that is known and one that is not.
async fn answers<F: Fixture>(fixture: &F, source: &dyn Source) -> Result<(), SourceError> {
    let asked = ask(source, &[name(2), name(3)]).await;
    asked.result?;
    let [Some(known), Some(unknown)] = <[_; 2]>::try_from(asked.replies).unwrap() else { panic!("no reply") };
    let known = known?;
    assert!(fixture.shows(&known, 2), "{known:?}");
    assert!(fixture.is_unknown(&unknown?));
    Ok(())
}

fn open<F: Fixture>(fixture: &F, form: Form, at: std::net::SocketAddr) -> Option<Box<dyn Source>> {
    match fixture.open(form, at) {
        Ok(source) => Some(source.unwrap()),
        Err(reason) => {
            eprintln!("no such form: {form:?}: {reason}");
            None
        }
    }
}

/// The shared server and a sound source that asks it.
fn sound<F: Fixture>() -> Option<(&'static F, Box<dyn Source>)> {
    let fixture = F::shared()?;
    let source = open(fixture, Form::Sound, fixture.address())?;
    Some((fixture, source))
}

/// The shared server, a gate in front of it and a sound source that asks through the gate.
async fn gated<F: Fixture>() -> Option<(&'static F, Gate, Box<dyn Source>)> {
    let fixture = F::shared()?;
    let gate = Gate::before(fixture.address()).await;
    let source = open(fixture, Form::Sound, gate.address())?;
    Some((fixture, gate, source))
}

pub async fn found<F: Fixture>() {
    let Some((fixture, source)) = sound::<F>() else { return };
    for _ in 0..3 {
        answers(fixture, &*source).await.unwrap();
    }
}

pub async fn not_found<F: Fixture>() {
    let Some((fixture, source)) = sound::<F>() else { return };
    let asked = ask(&*source, &[name(1), "nobody.example.com".to_owned()]).await;
    asked.result.unwrap();
    for reply in asked.replies {
        assert!(fixture.is_unknown(&reply.expect("a reply").unwrap()));
    }
    let none: [&str; 0] = [];
    ask(&*source, &none).await.result.unwrap();
}

/// Batches after the first open no more connections.
pub async fn connections_are_kept<F: Fixture>() {
    let Some((fixture, gate, source)) = gated::<F>().await else { return };
    for _ in 0..3 {
        answers(fixture, &*source).await.unwrap();
    }
    let connections = gate.connections();
    for _ in 0..20 {
        answers(fixture, &*source).await.unwrap();
    }
    assert_eq!(gate.connections(), connections);
}

pub async fn some_of_many<F: Fixture>() {
    let Some((fixture, source)) = sound::<F>() else { return };
    numbers_answered(fixture, &*source, &[7, 4, 990, 0, 1, 998, 999, 2]).await;
}

pub async fn subjects_twice<F: Fixture>() {
    let Some((fixture, source)) = sound::<F>() else { return };
    numbers_answered(fixture, &*source, &[4, 5, 4, 5, 6]).await;
}

pub async fn a_thousand<F: Fixture>() {
    let Some((fixture, source)) = sound::<F>() else { return };
    let numbers: Vec<_> = (0..KNOWN_BELOW).collect();
    numbers_answered(fixture, &*source, &numbers).await;
}

async fn numbers_answered<F: Fixture>(fixture: &F, source: &dyn Source, numbers: &[usize]) {
    let names: Vec<_> = numbers.iter().map(|number| name(*number)).collect();
    let asked = ask(source, &names).await;
    asked.result.unwrap();
    for (number, reply) in numbers.iter().zip(asked.replies) {
        let record = reply.expect("a reply").unwrap();
        assert_eq!(fixture.is_unknown(&record), !is_known(*number), "{number}: {record:?}");
        assert!(fixture.is_unknown(&record) || fixture.shows(&record, *number), "{number}: {record:?}");
    }
}

/// A source that falls silent in the middle costs what the caller gives it, and answers again when the server does: also
/// after more losses than it has connections.
pub async fn late<F: Fixture>() {
    let Some((fixture, gate, source)) = gated::<F>().await else { return };
    for _ in 0..=CONCURRENCY {
        answers(fixture, &*source).await.unwrap();
        gate.stall();
        tokio::time::timeout(PATIENCE, ask(&*source, &[name(2)]))
            .await
            .map(|asked| asked.code())
            .unwrap_err();
        gate.pass();
    }
    answers(fixture, &*source).await.unwrap();
}

/// Likewise when it falls silent before the first connection stands.
pub async fn silent_at_connect<F: Fixture>() {
    let Some((fixture, gate, source)) = gated::<F>().await else { return };
    gate.stall();
    for _ in 0..=CONCURRENCY {
        tokio::time::timeout(PATIENCE, ask(&*source, &[name(2)]))
            .await
            .map(|asked| asked.code())
            .unwrap_err();
    }
    gate.pass();
    answers(fixture, &*source).await.unwrap();
}

pub async fn refused<F: Fixture>() {
    let Some((_, mut gate, source)) = gated::<F>().await else { return };
    gate.refuse().await;
    assert_eq!(ask(&*source, &[name(2)]).await.code(), "unreachable");
}

pub async fn wrong_password<F: Fixture>() {
    code_of::<F>(Form::WrongPassword, "refused").await;
}

pub async fn key_missing<F: Fixture>() {
    code_of::<F>(Form::KeyMissing, "malformed").await;
}

pub async fn key_of_wrong_type<F: Fixture>() {
    code_of::<F>(Form::KeyOfWrongType, "malformed").await;
}

async fn code_of<F: Fixture>(form: Form, code: &str) {
    let Some(fixture) = F::shared() else { return };
    let Some(source) = open(fixture, form, fixture.address()) else { return };
    for _ in 0..2 {
        let asked = ask(&*source, &[name(2)]).await;
        assert_eq!(asked.code(), code, "{:?}", asked.result);
    }
}

/// An answer that is too large is not taken in, as the bytes say that went through; the next one is as good as ever.
pub async fn too_large<F: Fixture>() {
    let Some(fixture) = F::shared() else { return };
    let gate = Gate::before(fixture.address()).await;
    let Some(source) = open(fixture, Form::Large, gate.address()) else { return };
    for _ in 0..=CONCURRENCY {
        let before = gate.answered();
        let asked = ask(&*source, &[name(2)]).await;
        assert_eq!(asked.code(), "too_large", "{:?}", asked.result);
        let taken = gate.answered() - before;
        assert!(taken <= fixture.most_bytes(), "{taken} bytes");
    }
}

/// A connection that ends in the middle of an answer is an error, and the next batch is answered.
pub async fn cut_in_the_middle<F: Fixture>() {
    let Some((fixture, gate, source)) = gated::<F>().await else { return };
    answers(fixture, &*source).await.unwrap();
    let names: Vec<_> = (0..KNOWN_BELOW).map(name).collect();
    // The first time also brings what is said once per connection.
    let mut before = 0;
    for _ in 0..2 {
        before = gate.answered();
        ask(&*source, &names).await.result.unwrap();
    }
    gate.cut_after((gate.answered() - before) / 2);
    assert_eq!(ask(&*source, &names).await.result.unwrap_err().code(), "unreachable");
    gate.pass();
    answers(fixture, &*source).await.unwrap();
}

/// A server that dies while it is asked is an error at once, as long as it is away, and no longer.
pub async fn killed_and_back<F: Fixture>() {
    let Some(fixture) = F::own() else { return left_out("no server of its own to kill") };
    let mut gate = Gate::before(fixture.address()).await;
    let source = open(&fixture, Form::Sound, gate.address()).unwrap();
    answers(&fixture, &*source).await.unwrap();
    gate.stall();
    gate.forget_asked();
    let names = [name(2)];
    let kill = async {
        gate.asked().await;
        fixture.kill();
        gate.pass();
    };
    let (asked, ()) = tokio::join!(ask(&*source, &names), kill);
    assert_eq!(asked.code(), "unreachable", "{:?}", asked.result);
    assert_eq!(ask(&*source, &names).await.code(), "unreachable");
    fixture.restart();
    answers(&fixture, &*source).await.unwrap();
}

/// Names that a parser would read as something else are names, and no pattern matches.
pub async fn hostile_names<F: Fixture>() {
    let Some((fixture, source)) = sound::<F>() else { return };
    let names = [
        "a--comment.com",
        "or-1-1.com",
        "select.com",
        "null.com",
        "true.com",
        "0x65302e636f6d.com",
        "1e5.com",
        "xn--0-ega.com",
        "xn--mnchen-3ya.de",
        "drop-table.com",
        "2001:db8::1",
        "198.51.100.7",
        "where.com",
    ];
    let asked = ask(&*source, &names).await;
    asked.result.unwrap();
    for (name, reply) in names.iter().zip(asked.replies) {
        assert!(fixture.is_unknown(&reply.expect("a reply").unwrap()), "{name}");
    }
    answers(fixture, &*source).await.unwrap();
}

/// Most garbled answers of one case.
const GARBLED: u64 = 100;

/// An answer with a byte of it garbled, anywhere from the first of the connection on, is an error or another answer:
/// nothing panics or hangs, and the next source is as good as ever.
pub async fn garbled<F: Fixture>() {
    garbled_at::<F>(GARBLED, &[0xff, 0x01, 0x80]).await;
}

/// Likewise, at so many places, with these bits turned over in turn.
pub async fn garbled_at<F: Fixture>(places: u64, bits: &[u8]) {
    let Some(fixture) = F::shared() else { return };
    let gate = Gate::before(fixture.address()).await;
    let source = || open(fixture, Form::Sound, gate.address()).unwrap();
    answers(fixture, &*source()).await.unwrap();
    let total = gate.answered();
    let places = places.min(total);
    for (place, bits) in (0..places).zip(bits.iter().cycle()) {
        gate.garble_after(total * place / places, *bits);
        // A length that is garbled leaves the source waiting for bytes that never come.
        let _ = tokio::time::timeout(PATIENCE / 4, ask(&*source(), &[name(2), name(3)])).await;
    }
    gate.pass();
    answers(fixture, &*source()).await.unwrap();
}
