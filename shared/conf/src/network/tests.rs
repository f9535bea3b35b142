//! Documents in, documents out.

use super::*;

fn parse(text: &str) -> Result<NetworkDef> {
    NetworkDef::parse(text)
}

/// With the corpus of libvirt's answers (`OXVIRT_CORPUS`): the canonical documents come out as they went in.
#[test]
fn corpus_documents_are_fixed_points() {
    let Ok(folder) = std::env::var("OXVIRT_CORPUS") else {
        eprintln!("skipped: needs OXVIRT_CORPUS, the folder of the corpus");
        return;
    };
    let mut wrong = Vec::new();
    for kind in ["network", "network-conf"] {
        let folder = format!("{folder}/{kind}");
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "xml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            match parse(&text) {
                Ok(def) => {
                    let once = def.format(FormatFlags { inactive: true, connections: 0 });
                    let again = parse(&once).unwrap();
                    if again != def {
                        wrong.push(format!("{}: changed by a round trip", path.display()));
                    }
                }
                Err(e) => eprintln!("{}: {e}", path.display()),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
