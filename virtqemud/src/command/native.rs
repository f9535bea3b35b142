//! The text of `domxml-to-native qemu-argv`.

use super::plan::LaunchPlan;

/// Environment, program and arguments on one line, as a shell would take them.
pub fn text(plan: &LaunchPlan) -> String {
    let env = plan.env.iter().map(|(name, value)| format!("{name}={}", quote(value)));
    let words = std::iter::once(plan.program.as_str()).chain(plan.argv.iter().map(String::as_str)).map(quote);
    env.chain(words).collect::<Vec<_>>().join(" ")
}

/// Single quotes around what a shell would not take as it is.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        let plan = LaunchPlan {
            program: "/usr/bin/qemu".into(),
            argv: ["-S", "-device", "{\"a\":1}", "-m", "1"].map(String::from).to_vec(),
            env: vec![("A".into(), "b c".into())],
        };
        assert_eq!(text(&plan), "A='b c' /usr/bin/qemu -S -device '{\"a\":1}' -m 1");
    }
}
