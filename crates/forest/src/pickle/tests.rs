//! Pickles written by hand, opcode by opcode.

use super::scan;

fn class(bytes: &[u8]) -> String {
    scan(bytes).map_or_else(|fault| format!("{}: {}", fault.offset, fault.reason), |found| found.class)
}

#[test]
fn what_a_pickle_is() {
    for (bytes, expected) in [
        (&b"\x80\x04}\x94."[..], "a dictionary"),
        (b"(lp0\n.", "a list or set"),
        (b"K\x01K\x02\x86.", "a tuple"),
        (
            b"ccopy_reg\n_reconstructor\np0\n(cxgboost.core\nBooster\nc__builtin__\nobject\nNtR.",
            "xgboost.core.Booster",
        ),
        (b"\x80\x04\x8c\x01a\x8c\x01b\x93)\x81}b.", "a.b"),
        (b"(ia\nb\n.", "a.b"),
        (b"(ca\nb\no.", "a.b"),
        (b"I01\n.", "a plain value"),
        (b"", "0: 1 bytes announced, 0 left"),
        (b".", "0: no value on the stack"),
        (b"(.", "1: no value on the stack"),
        (b"t", "0: no mark on the stack"),
        (b"h\x00", "0: place 0 of the memo is empty"),
        (b"Nr\xff\xff\xff\x7f", "1: place 2147483647 of the memo, only 6 bytes were read"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "0: 18446744073709551615 bytes announced, 0 left"),
        (b"Vx", "0: a line without an end"),
        (b"\xff", "0: unknown opcode '\\xff'"),
        (b"\x82\x01", "0: opcode '\\x82' refers to what is not in the file"),
    ] {
        assert_eq!(class(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_handle_of_a_booster_is_found_in_every_protocol() {
    let cases: [&[u8]; 5] = [
        b"ccopy_reg\n_reconstructor\n(cxgboost.core\nBooster\nc__builtin__\nobject\nNtR(dp1\nVhandle\np2\n\
            c__builtin__\nbytearray\n(c_codecs\nencode\n(Va\\u000a\xff\nVlatin1\ntRtRsb.",
        b"ccopy_reg\n_reconstructor\n(cxgboost.core\nBooster\nc__builtin__\nobject\nNtR(dS'handle'\n\
            c__builtin__\nbytearray\n(S'a\\n\\xff'\nS'latin-1'\ntRsb.",
        b"\x80\x02cxgboost.core\nBooster\n)\x81}X\x06\0\0\0handlec__builtin__\nbytearray\n\
            X\x04\0\0\0a\n\xc3\xbfX\x07\0\0\0latin-1\x86Rsb.",
        b"\x80\x03cxgboost.core\nBooster\n)\x81}(X\x06\0\0\0handlecbuiltins\nbytearray\nC\x03a\n\xff\x85Rub.",
        b"\x80\x05\x8c\x0cxgboost.core\x8c\x07Booster\x93)\x81}\x8c\x06handle\x96\x03\0\0\0\0\0\0\0a\n\xffsb.",
    ];
    for bytes in cases {
        let found = scan(bytes).unwrap();
        assert_eq!(found.class, "xgboost.core.Booster");
        let payloads: Vec<_> = found.payloads.iter().map(|p| p.bytes().unwrap().into_owned()).collect();
        assert_eq!(payloads, [b"a\n\xff"], "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_values_of_joblib_arrays_are_skipped() {
    let with = |name: &[u8], rest: &[u8]| {
        let start =
            b"\x80\x04\x8c\x13joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93)\x81}(\x8c\x05shapeK\x02K\x03\
            \x86\x8c\x05dtypecnumpy\ndtype\n\x8c\x02";
        [start, name, b"\x89\x88\x87R", rest].concat()
    };
    let twelve = [b'.'; 12];
    assert_eq!(class(&with(b"i2", &[b"ub", &twelve[..], b"K\x07."].concat())), "a plain value");
    let aligned = b"\x8c\x1bnumpy_array_alignment_bytesK\x10ub\x02\xff\xff";
    assert_eq!(class(&with(b"i2", &[&aligned[..], &twelve, b"K\x07."].concat())), "a plain value");
    assert_eq!(class(&with(b"O8", b"ub\x80\x02h\x00.K\x07.")), "91: place 0 of the memo is empty");
    assert_eq!(class(&with(b"O8", b"ub\x80\x02K\x01.K\x07.")), "a plain value");
    assert!(class(&with(b"i8", b"ub.")).contains("48 bytes announced, 1 left"));
    assert!(class(&with(b"V8", b"ub.")).contains("of an unknown type"));
}
