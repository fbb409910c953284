use proptest::prelude::*;

use super::query::Query;
use crate::params::Variable;

#[test]
fn the_variable_becomes_placeholders() {
    let query =
        Query::parse("SELECT a FROM t WHERE a IN (:entities) -- or ':addresses'\n AND b = ';?:x' ").unwrap();
    assert_eq!(query.variable(), Variable::Entities);
    assert_eq!(query.places(), 1);
    for (values, width) in [(0, 1), (1, 1), (3, 4), (50, 64), (1_000, 1_024)] {
        let (statement, places) = query.statement(values);
        assert_eq!(places, width);
        assert_eq!(statement.matches('?').count(), width + 1, "the text's own question mark stays");
        assert!(statement.ends_with(") -- or ':addresses'\n AND b = ';?:x' "), "{statement}");
    }
}

#[test]
fn queries_that_read_are_taken() {
    for (text, variable, places) in [
        ("select 1 from t where a in(:addresses)", Variable::Addresses, 1),
        ("SELECT a FROM t WHERE a IN ( :registrable_domains )", Variable::RegistrableDomains, 1),
        ("WITH x AS (SELECT 1) SELECT a FROM x WHERE a NOT IN (:entities)", Variable::Entities, 1),
        (
            "(SELECT a FROM t WHERE a IN (:entities)) UNION (SELECT b FROM u WHERE b IN (:entities))",
            Variable::Entities,
            2,
        ),
        (
            "SELECT t.update, `delete`, REPLACE(a, '''', \"\\\"\"), INSERT(a, 1, 1, 'x') FROM t WHERE a IN (:entities)",
            Variable::Entities,
            1,
        ),
        ("SELECT a /* INTO */ FROM t # INTO\n WHERE a IN (:entities) --", Variable::Entities, 1),
        ("SELECT a-- INTO\n FROM t WHERE a IN (:entities) AND 5--1", Variable::Entities, 1),
    ] {
        let query = Query::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        assert_eq!((query.variable(), query.places()), (variable, places), "{text}");
    }
}

#[test]
fn queries_that_are_none_are_refused() {
    for (text, reason) in [
        ("", "not a SELECT"),
        ("DELETE FROM t WHERE a IN (:entities)", "not a SELECT"),
        ("CALL p(:entities)", "not a SELECT"),
        ("'SELECT' IN (:entities)", "not a SELECT"),
        ("SELECT a FROM t", "none of :entities"),
        ("SELECT a FROM t WHERE a = ':entities'", "none of :entities"),
        ("SELECT a FROM t WHERE a IN (:entities); DROP TABLE t", "`;`"),
        ("SELECT a FROM t WHERE a IN (:entities);", "`;`"),
        ("SELECT a FROM t WHERE a IN (:entities) OR b IN (:addresses)", "more than one of"),
        ("SELECT a FROM t WHERE a IN (:entitys)", "unknown variable :entitys"),
        ("SELECT a FROM t WHERE a IN (:entities_)", "unknown variable :entities_"),
        ("SELECT a FROM t WHERE a IN (:Entities)", "unknown variable :Entities"),
        ("SELECT a FROM t WHERE a = :entities", ":entities does not stand alone"),
        ("SELECT a FROM t WHERE a IN (:entities, 'x')", ":entities does not stand alone"),
        ("SELECT a FROM t WHERE CONCAT(:entities)", ":entities does not stand alone"),
        ("SELECT a FROM t WHERE a IN (:entities", ":entities does not stand alone"),
        ("SELECT a FROM t WHERE a IN (?) AND b IN (:entities)", "`?`"),
        ("SELECT @a := 1 FROM t WHERE a IN (:entities)", "`:` without a name"),
        ("SELECT a INTO OUTFILE '/tmp/x' FROM t WHERE a IN (:entities)", "INTO"),
        ("SELECT a FROM t WHERE a IN (:entities) FOR UPDATE", "UPDATE"),
        ("SELECT a FROM t WHERE a IN (:entities) LOCK IN SHARE MODE", "LOCK"),
        ("WITH x AS (SELECT 1) DELETE FROM t WHERE a IN (:entities)", "DELETE"),
        ("SELECT a FROM t WHERE a IN (:entities) /*! FOR UPDATE */", "a comment that the server would run"),
        ("SELECT a FROM t WHERE a IN (:entities) /*M! FOR UPDATE */", "a comment that the server would run"),
        ("SELECT a FROM t WHERE a IN (:entities) /* x", "a comment that does not end"),
        ("SELECT a FROM t WHERE a IN (:entities) /*/", "a comment that does not end"),
        ("SELECT a FROM t WHERE a IN (:entities) AND b = 'x\\'", "a text (') that does not end"),
        ("SELECT a\0 FROM t WHERE a IN (:entities)", "a NUL character"),
    ] {
        let error = Query::parse(text).unwrap_err();
        assert!(error.starts_with(reason), "{text}: {error}");
    }
    let many = " OR a IN (:entities)".repeat(20);
    assert!(Query::parse(&format!("SELECT a FROM t WHERE 1{many}")).unwrap_err().starts_with("20 places"));
    assert!(Query::parse(&"SELECT ".repeat(10_000)).unwrap_err().starts_with("70000 bytes"));
}

proptest! {
    #[test]
    fn no_query_panics(text in "(SELECT )?([a-z:;?'\"`#/*!\\\\ -]|IN|\\(:entities\\)|.)*") {
        if let Ok(query) = Query::parse(&text) {
            // What is put in are placeholders alone.
            let (statement, _) = query.statement(1);
            prop_assert_eq!(statement.len() + query.places() * (query.variable().text().len() - 1), text.len());
        }
    }
}
