use super::*;
use proptest::prelude::*;

fn text(value: &str) -> Value {
    Value::String(value.into())
}

#[test]
fn values_of_each_kind() {
    let file = File::parse(
        "# head\n\
         one = \"a # b\" # why\n\
         two='x \"y\"';three = 3\n\
         four=-4\r\n\
         \tlist = [ \"a\", # first\n  'b' ,\n ]\n\
         empty = []\n\
         one = \"again\"\n\
         long = \"\"\"two\nlines \" here\"\"\"\n\
         last=1",
    )
    .unwrap();
    assert_eq!(file.string("one").unwrap().unwrap(), "a # b");
    assert_eq!(file.string("two").unwrap().unwrap(), "x \"y\"");
    assert_eq!(file.uint("three").unwrap(), Some(3));
    assert_eq!(file.int("four").unwrap(), Some(-4));
    assert_eq!(file.value("list").unwrap(), &Value::List(vec![text("a"), text("b")]));
    assert_eq!(file.list("empty").unwrap(), Some(vec![]));
    assert_eq!(file.string("long").unwrap().unwrap(), "two\nlines \" here");
    assert_eq!(file.bool("last").unwrap(), Some(true));
    assert_eq!(file.string("absent").unwrap(), None);
    assert_eq!(file.keys().next(), Some("one"));
}

#[test]
fn syntax_errors_name_line_and_expectation() {
    for (input, line, reason) in [
        ("log_level 3", 1, "expecting an assignment"),
        ("a-b = 3", 1, "expecting an assignment"),
        ("\n\nx = [1\n", 4, "list is not closed with ]"),
        ("x = [1 2]", 1, "expecting a separator in list"),
        ("x = \"a\" b", 1, "expecting a separator"),
        ("x = 0x10", 1, "expecting a separator"),
        ("x = 10a", 1, "expecting a separator"),
        ("= 3", 1, "expecting a name"),
        ("5 = 3", 1, "expecting a name"),
        ("y = 1\nx = \"abc", 2, "unterminated string"),
        ("x = \"abc\ny = \"", 1, "unterminated string"),
        ("x = -", 1, "invalid number"),
        ("x = ", 1, "expecting a value"),
        ("x = 99999999999999999999", 1, "numeric overflow"),
        ("x = [[[[[[[[[[[[[[[[", 1, "lists are nested too deep"),
    ] {
        match File::parse_named(input, "f") {
            Err(Error::Syntax { line: at, reason: said, .. }) => assert_eq!((at, said), (line, reason), "{input:?}"),
            other => panic!("{input:?}: {other:?}"),
        }
    }
    let shown = File::parse_named("= 3", "b.conf").unwrap_err().to_string();
    assert_eq!(shown, "configuration file syntax error: b.conf:1: expecting a name");
}

#[test]
fn wrong_types_are_errors_of_their_key() {
    let file = File::parse_named("s = \"3\"\nn = -1\nb = 2\nl = [ 1 ]\nbig = 4294967296", "x.conf").unwrap();
    let shown = file.uint("s").unwrap_err().to_string();
    assert_eq!(shown, "internal error: x.conf: expected an unsigned integer for 's' parameter");
    assert!(file.uint("n").is_err());
    assert!(file.string("n").is_err());
    assert!(file.bool("b").is_err());
    assert!(file.bool("s").is_err());
    assert!(file.list("l").is_err());
    assert!(file.list("s").is_err());
    assert_eq!(file.list_or_string("s").unwrap(), Some(vec!["3".to_owned()]));
    assert!(file.uint("big").is_err());
    assert_eq!(file.ulong("big").unwrap(), Some(4_294_967_296));
}

#[test]
fn a_missing_default_file_is_empty_and_a_named_one_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("virtqemud.conf");
    assert!(File::load_optional(&path).unwrap().keys().next().is_none());
    let shown = File::load(&path).unwrap_err().to_string();
    assert_eq!(shown, format!("Failed to open file '{}': No such file or directory", path.display()));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(input in "\\PC*|[a-c=\\[\\]\"'#,; \n0-9-]{0,60}") {
        let _ = File::parse(&input);
    }
}
