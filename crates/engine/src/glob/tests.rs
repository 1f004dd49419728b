use proptest::prelude::*;

use super::*;

fn glob(text: &str) -> Glob {
    Glob::parse(text).unwrap()
}

#[test]
fn a_pattern_matches_whole_names() {
    // Pattern, what it matches, what it doesn't.
    let cases: [(&str, &[&str], &[&str]); 16] = [
        ("prod", &["prod"], &["prod-1", "a-prod", ""]),
        ("*", &["", "a", "kube-system"], &[]),
        ("prod-*", &["prod-", "prod-eu"], &["prod", "a-prod-eu"]),
        ("*-prod", &["a-prod", "-prod"], &["prod", "a-prod-1"]),
        ("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a", "b"]),
        ("a**b", &["ab", "axxb"], &["a"]),
        ("a?c", &["abc", "a-c", "aéc"], &["ac", "abbc"]),
        ("ns-[abc]", &["ns-a", "ns-c"], &["ns-d", "ns-", "ns-ab"]),
        ("ns-[1-3]", &["ns-1", "ns-2", "ns-3"], &["ns-0", "ns-4"]),
        ("ns-[!ab]", &["ns-c", "ns-!"], &["ns-a", "ns-"]),
        ("ns-[!1-3]", &["ns-4"], &["ns-2"]),
        ("ns-[ab-]", &["ns-a", "ns--"], &["ns-c"]),
        ("{a,b*}.{x,y}", &["a.x", "bb.y"], &["a.z", "ax", "{a,b*}.{x,y}"]),
        ("a{,b{c,d}}", &["a", "abc", "abd"], &["ab", "abcd"]),
        (r"a\*b\[", &["a*b["], &["axb["]),
        ("a,b}]", &["a,b}]"], &["a"]),
    ];
    for (pattern, yes, no) in cases {
        for name in yes {
            assert!(glob(pattern).matches(name), "`{pattern}` matches `{name}`");
        }
        for name in no {
            assert!(!glob(pattern).matches(name), "`{pattern}` doesn't match `{name}`");
        }
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    let cases = [
        ("a[", "a bracket is not closed"),
        ("[a", "a bracket is not closed"),
        ("[a-", "a bracket is not closed"),
        ("a[]", "a bracket is empty"),
        ("[!]", "a bracket is empty"),
        ("[z-a]", "a range ends before it begins"),
        ("[a-z0-9]", "a bracket holds one range or a list of characters, not both"),
        ("{a,b", "a brace is not closed"),
        (r"a\", "it ends behind a backslash"),
        ("{{{{{{{{{a}}}}}}}}}", "its braces are nested deeper than 8 levels"),
        ("{a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b}", "its braces have more than 256 alternatives"),
    ];
    for (pattern, why) in cases {
        let told = format!("`{pattern}` is not a pattern: {why}");
        assert_eq!(Glob::parse(pattern).unwrap_err().to_string(), told);
    }
    let long = Glob::parse(&"é*".repeat(600)).unwrap_err().to_string();
    assert!(long.ends_with("…` is not a pattern: it is longer than 1,024 bytes"), "{long}");
}

#[test]
fn many_stars_take_no_exponential_time() {
    let pattern = glob(&"a*".repeat(200));
    assert!(!pattern.matches(&format!("{}b", "a".repeat(199))));
}

#[test]
fn a_set_matches_what_one_of_it_matches() {
    let set: Globs = ["a", "b", "c*"].map(glob).into_iter().collect();
    assert!(["a", "b", "c", "cd"].iter().all(|name| set.matches(name)));
    assert!(!set.matches("d") && !set.is_any() && !set.has_any());
    assert!(Globs::from_iter([glob("*"), glob("*")]).is_any());
    assert!(!Globs::from_iter([glob("*"), glob("a")]).is_any());
}

/// What the walk should say, without its speed.
fn simply(pattern: &[Token], name: &str) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((Token::Many, rest)) => {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| simply(rest, &name[at..]))
        }
        Some((token, rest)) => name
            .chars()
            .next()
            .is_some_and(|next| token.takes(next) && simply(rest, &name[next.len_utf8()..])),
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r"[a-c*?\[\]!{},\\é-]{0,12}", name in "[a-cé-]{0,8}") {
        if let Ok(glob) = Glob::parse(&text) {
            let _ = glob.matches(&name);
        }
    }

    #[test]
    fn a_pattern_without_specials_is_equality(text in r"[^*?\[{\\]{0,8}", name in r"[^*?\[{\\]{0,8}") {
        prop_assert!(glob(&text).matches(&text));
        prop_assert_eq!(glob(&text).matches(&name), text == name);
    }

    #[test]
    fn the_walk_is_right(text in r"[ab*?]{0,8}", name in "[ab]{0,8}") {
        let glob = Glob::parse(&text).unwrap();
        let right = match &glob.patterns {
            None => text == name,
            Some(patterns) => patterns.iter().any(|pattern| simply(pattern, &name)),
        };
        prop_assert_eq!(glob.matches(&name), right);
    }
}
