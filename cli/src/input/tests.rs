use std::io::{self, Cursor};

use super::*;

fn read(bytes: &[u8], format: Format) -> Vec<(Option<u64>, Result<String, String>)> {
    let input = Input::new(Box::new(Cursor::new(bytes.to_vec())), format, None, None).unwrap();
    input
        .map(|next| match next.unwrap() {
            Ok(given) => (given.line, Ok(given.text)),
            Err(refused) => (refused.line, Err(refused.code)),
        })
        .collect()
}

fn ok(line: u64, text: &str) -> (Option<u64>, Result<String, String>) {
    (Some(line), Ok(text.to_owned()))
}

fn refused(line: u64, code: &str) -> (Option<u64>, Result<String, String>) {
    (Some(line), Err(code.to_owned()))
}

#[test]
fn plain_lines_keep_their_numbers() {
    let text = b"\xef\xbb\xbfevil.example\r\n\n# note\n  1.2.3.4  \n\xff\xfe\nlast.example";
    assert_eq!(
        read(text, Format::Auto),
        [ok(1, "evil.example"), ok(4, "1.2.3.4"), refused(5, "not_utf8"), ok(6, "last.example")]
    );
}

#[test]
fn csv_reads_the_column_entity_and_ignores_the_others() {
    let text = b"\xef\xbb\xbflabel,entity\n1,evil.example\n0,\"good,\n.example\"\nshort\n1,\xff\n";
    assert_eq!(
        read(text, Format::Auto),
        [ok(2, "evil.example"), ok(3, "good,\n.example"), ok(5, ""), refused(6, "not_utf8")]
    );
}

#[test]
fn csv_without_the_column_is_wrong_usage() {
    let error = Input::new(Box::new(Cursor::new(b"domain,label\na,1\n".to_vec())), Format::Csv, None, None);
    assert_eq!(
        error.err().map(|e| e.to_string()).unwrap(),
        "the CSV has no column named entity, only: domain, label"
    );
}

#[test]
fn json_lines_hold_strings_arrays_and_objects() {
    let text = br#"{"entity":"a.example","x":1}
["b.example","c.example",7]

"d.example"
{"entities":["e.example"],"tlp":"red"}
{"domain":"f.example"}
{"entity":
"#;
    assert_eq!(
        read(text, Format::Auto),
        [
            ok(1, "a.example"),
            ok(2, "b.example"),
            ok(2, "c.example"),
            refused(2, "invalid_json"),
            ok(4, "d.example"),
            ok(5, "e.example"),
            refused(6, "invalid_json"),
            refused(7, "invalid_json"),
        ]
    );
}

#[test]
fn deep_nesting_and_endless_lines_are_refused_and_the_rest_is_read() {
    let mut text = vec![b'['; 1_000];
    text.extend(b"\n\"a.example\"\n");
    assert_eq!(read(&text, Format::Jsonl), [refused(1, "invalid_json"), ok(2, "a.example")]);

    let mut text = vec![b'a'; 3 * MAX_LINE_BYTES];
    text.extend(b"\nb.example\n");
    assert_eq!(read(&text, Format::Lines), [refused(1, "line_too_long"), ok(2, "b.example")]);
    let exact = vec![b'a'; MAX_LINE_BYTES];
    assert_eq!(read(&exact, Format::Lines).len(), 1);
    assert!(read(&exact, Format::Lines)[0].1.is_ok());
}

#[test]
fn an_ipv6_address_in_brackets_is_not_json() {
    assert_eq!(read(b"[2001:db8::1]:443\n", Format::Auto), [ok(1, "[2001:db8::1]:443")]);
}

#[test]
fn a_failing_reader_ends_the_input_with_its_error() {
    struct Failing(bool);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("disk gone"));
            }
            buffer[..2].copy_from_slice(b"a\n");
            Ok(2)
        }
    }
    let mut input = Input::new(Box::new(Failing(false)), Format::Lines, None, None).unwrap();
    assert!(input.next().unwrap().is_ok());
    assert_eq!(input.next().unwrap().unwrap_err().to_string(), "disk gone");
    assert!(input.next().is_none());
}

#[test]
fn the_name_of_a_file_tells_its_format() {
    for (extension, format) in [
        ("csv", Some(Format::Csv)),
        ("ndjson", Some(Format::Jsonl)),
        ("txt", Some(Format::Lines)),
        ("log", None),
    ] {
        assert_eq!(by_extension(Some(extension)), format, "{extension}");
    }
}
