//! libvirt's names in Rust's form.

/// Prefixes of wire names that the module name already says.
const PREFIXES: [&str; 7] =
    ["virLockSpaceProtocol", "virLogManagerProtocol", "virNetMessage", "virNet", "remote_", "qemu_", "admin_"];

const KEYWORDS: [&str; 8] = ["type", "match", "ref", "move", "in", "use", "mod", "where"];

/// `remote_domain_get_xml_desc_args` → `DomainGetXmlDescArgs`.
pub fn type_name(wire: &str) -> String {
    let short = PREFIXES.iter().find_map(|prefix| wire.strip_prefix(prefix)).unwrap_or(wire);
    short.split('_').map(capital).collect()
}

/// `retStats` → `ret_stats`; keywords get a trailing underscore.
pub fn snake(wire: &str) -> String {
    let mut out = String::new();
    let letters: Vec<char> = wire.chars().collect();
    for (i, &letter) in letters.iter().enumerate() {
        let before_lower = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        let after = i.checked_sub(1).map(|before| letters[before]);
        let boundary = after.is_some_and(|before| {
            before.is_lowercase() || before.is_ascii_digit() || (before.is_uppercase() && before_lower)
        });
        if letter.is_uppercase() && boundary {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    if KEYWORDS.contains(&out.as_str()) {
        out.push('_');
    }
    out
}

/// `NO_DOMAIN` → `NoDomain`.
pub fn camel(upper: &str) -> String {
    upper.split('_').map(|word| capital(&word.to_lowercase())).collect()
}

/// Drops the program's prefix of a limit: `REMOTE_STRING_MAX` → `STRING_MAX`.
pub fn limit(wire: &str) -> &str {
    const LIMIT_PREFIXES: [&str; 5] =
        ["VIR_LOCK_SPACE_PROTOCOL_", "VIR_LOG_MANAGER_PROTOCOL_", "VIR_NET_", "REMOTE_", "ADMIN_"];
    LIMIT_PREFIXES.iter().find_map(|prefix| wire.strip_prefix(prefix)).unwrap_or(wire)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
