use super::*;
use std::time::{Duration, UNIX_EPOCH};

#[test]
fn timestamps_are_libvirts() {
    for (millis, text) in [
        (0, "1970-01-01 00:00:00.000+0000"),
        (951_782_400_001, "2000-02-29 00:00:00.001+0000"),
        (1_795_178_456_910, "2026-11-20 12:40:56.910+0000"),
        (4_107_542_399_999, "2100-02-28 23:59:59.999+0000"),
        (4_107_542_400_000, "2100-03-01 00:00:00.000+0000"),
    ] {
        assert_eq!(line::timestamp(UNIX_EPOCH + Duration::from_millis(millis)), text);
    }
}

#[test]
fn filters_are_parsed_and_match() {
    let filters = Filter::parse_list("3:util 1:virtqemud.domain  4:*json*").unwrap();
    assert_eq!(
        filters.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["3:*util*", "1:*virtqemud.domain*", "4:*json*"]
    );
    let config = Config { level: Level::Warning, filters, outputs: vec![] };
    assert_eq!(config.level_of("virtqemud::domain::actor"), Level::Debug);
    assert_eq!(config.level_of("some::json"), Level::Error);
    assert_eq!(config.level_of("virtqemud::api"), Level::Warning);
    for bad in ["x", "9:a", "1:", ":a", "a:b"] {
        assert!(Filter::parse_list(bad).is_err(), "{bad}");
    }
    assert_eq!(Filter::parse_list("x").unwrap_err().to_string(), "invalid argument: Malformed format for filter 'x'");
}

#[test]
fn outputs_are_parsed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let outputs = Output::parse_list(&format!("3:stderr 1:file:{}", path.display())).unwrap();
    assert_eq!(outputs[0].to_string(), "3:stderr");
    assert_eq!(outputs[1].to_string(), format!("1:file:{}", path.display()));
    for bad in ["stderr", "0:stderr", "1:file", "1:file:relative", "1:pigeon", "1:syslog:"] {
        assert!(Output::parse_list(bad).is_err(), "{bad}");
    }
}

#[test]
fn events_become_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let config = Config {
        level: Level::Info,
        filters: Filter::parse_list("4:noisy").unwrap(),
        outputs: vec![Output::file(Level::Debug, path.clone()).unwrap(), Output::stderr(Level::Error)],
    };
    let layer = Lines { config: Arc::new(ArcSwap::from_pointee(config)) };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!(target: "virtx::part", pool = "p", "made\nup: 1: error : fake");
        tracing::debug!(target: "virtx::part", "unseen");
        tracing::warn!(target: "virtx::noisy", "unseen");
        let error: Box<dyn std::error::Error> =
            Box::new(super::Error::Open("x".into(), std::io::ErrorKind::NotFound.into()));
        tracing::error!(target: "virtx::part", error, "failed");
    });
    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[0].contains(" : libvirt version: 11.3.0, package: oxvirt"));
    assert!(lines[1].contains(" info : hostname: "));
    let parts: Vec<&str> = lines[2].splitn(5, ": ").collect();
    assert!(parts[1].parse::<u32>().is_ok(), "the thread: {}", lines[2]);
    assert_eq!(parts[2], "info ");
    assert!(parts[3].starts_with("virtx.part:") && parts[3].split(':').count() == 2);
    assert_eq!(parts[4], "made\\nup: 1: error : fake pool=p");
    assert!(lines[3].ends_with("failed error=failed to open log output 'x': entity not found"), "{}", lines[3]);
}
