//! Documents of a folder with recorded answers, named by `$OXVIRT_CORPUS`: nothing panics, what we print reads back.

use std::path::PathBuf;

use conf::FormatFlags;
use conf::domain::{DomainDef, ParseContext};

fn folders() -> Vec<PathBuf> {
    let Some(root) = std::env::var_os("OXVIRT_CORPUS").map(PathBuf::from) else { return Vec::new() };
    ["domain", "generic"].iter().map(|kind| root.join(kind)).filter(|f| f.is_dir()).collect()
}

fn documents() -> Vec<(String, String)> {
    let files = folders()
        .into_iter()
        .flat_map(|f| std::fs::read_dir(f).expect("the folder is readable"))
        .map(|e| e.expect("the folder is readable").path());
    let xml = files.filter(|p| p.extension().is_some_and(|e| e == "xml"));
    xml.map(|p| {
        (
            p.display().to_string(),
            String::from_utf8_lossy(&std::fs::read(&p).expect("the document is readable")).into_owned(),
        )
    })
    .collect()
}

/// Printing and reading again gives the same definition, in every form that keeps all of it.
#[test]
fn what_is_printed_reads_back_equal() {
    let documents = documents();
    if documents.is_empty() {
        println!("skipped: needs OXVIRT_CORPUS, a folder with domain/ and generic/ documents");
        return;
    }
    let forms = [
        (ParseContext { live: false }, FormatFlags { inactive: true, secure: true, ..FormatFlags::default() }),
        (ParseContext { live: true }, FormatFlags { secure: true, status: true, ..FormatFlags::default() }),
    ];
    for (name, text) in &documents {
        for (context, flags) in forms {
            let Ok(first) = DomainDef::parse(text, context) else { continue };
            let printed = first.format(flags);
            let second = DomainDef::parse(&printed, context).unwrap_or_else(|e| panic!("{name}: {e}\n{printed}"));
            let again = second.format(flags);
            assert_eq!(printed, again, "{name}");
            let third = DomainDef::parse(&again, context).unwrap();
            assert_eq!(second, third, "{name}");
        }
    }
    println!("{} documents", documents.len());
}

/// Cutting a document anywhere, or dropping a piece of it, gives an error or a definition.
#[test]
fn damaged_documents_do_no_harm() {
    let documents = documents();
    if documents.is_empty() {
        println!("skipped: needs OXVIRT_CORPUS, a folder with domain/ and generic/ documents");
        return;
    }
    for (_, text) in &documents {
        let lines: Vec<&str> = text.lines().collect();
        for drop in (0..lines.len()).step_by(4) {
            let damaged: Vec<&str> = lines.iter().enumerate().filter(|(at, _)| *at != drop).map(|(_, l)| *l).collect();
            if let Ok(def) = DomainDef::parse(&damaged.join("\n"), ParseContext::default()) {
                let _ = def.format(FormatFlags::default());
            }
        }
    }
}
