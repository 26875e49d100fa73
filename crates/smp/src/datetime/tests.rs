//! Dates, times and what is none.

use super::*;
use std::format;
use std::string::ToString;

const FEBRUARY: DateTime = DateTime { year: 2028, month: 2, day: 29, hour: 23, minute: 59, second: 58, millisecond: 0 };

#[test]
fn what_clients_send_is_read() {
    for text in [
        "2028-02-29T23:59:58",
        "2028-02-29 23:59:58",
        "2028/02/29_23.59.58",
        "2028-02-29T23:59:58Z",
        "2028-02-29T23:59:58+09:00",
    ] {
        assert_eq!(DateTime::parse(text), Ok(FEBRUARY), "{text}");
    }
    for (text, millisecond) in [(".5", 500), (".007", 7), (".123456+01:00", 123), (".", 0), (",123", 0)] {
        let text = format!("2028-02-29T23:59:58{text}");
        assert_eq!(DateTime::parse(&text), Ok(DateTime { millisecond, ..FEBRUARY }), "{text}");
    }
    assert_eq!(DateTime::parse("11899-12-31T00:00:00").map(|date| date.year), Ok(11899));
}

#[test]
fn what_is_written_is_read_again() {
    for date in
        [FEBRUARY, DateTime { millisecond: 7, ..FEBRUARY }, DateTime { year: 11899, millisecond: 999, ..FEBRUARY }]
    {
        let date = DateTime { day: 28, ..date };
        assert_eq!(DateTime::parse(date.to_text().as_str()), Ok(date));
    }
    assert_eq!(DateTime { millisecond: 7, ..FEBRUARY }.to_string(), "2028-02-29T23:59:58.007");
}

#[test]
fn refusals_say_where_and_what() {
    let words = |text| DateTime::parse(text).unwrap_err().to_string();
    insta::assert_snapshot!(words("2028-02-29"), @"a date and time has 19 to 32 characters, this has 10");
    insta::assert_snapshot!(words("2028-2-29T23:59:58.0"), @"a digit was expected at character 6 of the date and time, as in 2026-02-28T13:05:00");
    insta::assert_snapshot!(words("1899-02-28T23:59:58"), @"1899 at character 0 of the date and time is not within 1900 to 11899");
    insta::assert_snapshot!(words("2027-02-29T23:59:58"), @"29 at character 8 of the date and time is not within 1 to 28");
    for text in [
        "2028-13-01T00:00:00",
        "2028-00-01T00:00:00",
        "2028-04-31T00:00:00",
        "2028-01-01T24:00:00",
        "2028-01-01T00:60:00",
        "2028-01-01T00:00:60",
        "2100-02-29T00:00:00",
        "x028-01-01T00:00:00",
        "2028-01-01T00:00:0x",
    ] {
        assert!(DateTime::parse(text).is_err(), "{text}");
    }
    assert!(DateTime::parse("2000-02-29T00:00:00").is_ok());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        if let Ok(date) = DateTime::parse(&text) {
            proptest::prop_assert_eq!(DateTime::parse(date.to_text().as_str()), Ok(date));
        }
    }
}
