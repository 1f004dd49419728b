use std::time::{Duration, Instant};

use super::*;
use crate::testing::{Pki, kubeconfig};

const FAR: &str = "server: https://api.example.com:6443";
const SECRET: &str = "swordfish";

fn trust(text: &str) -> Result<TrustedConfig, KubeconfigError> {
    UntrustedKubeconfig::new(text.as_bytes()).trust(&TrustPolicy::default())
}

/// The error must name `field`, give a reason of kind `reason`, and never contain a secret.
fn fault(text: &str, reason: Reason, field: &str) -> String {
    let error = trust(text).expect_err(text);
    assert_eq!(error.reason(), reason, "{text}\n{error}");
    assert_eq!(error.field(), field, "{text}\n{error}");
    let said = error.to_string();
    let named = if field == "." { "kubeconfig file" } else { field };
    assert!(said.contains(named), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    said
}

fn user(fields: &str) -> String {
    kubeconfig(FAR, fields)
}

fn cluster(fields: &str) -> String {
    kubeconfig(&format!("{FAR}, {fields}"), "token: t")
}

fn at(server: &str) -> String {
    kubeconfig(&format!("server: '{server}'"), "token: t")
}

#[test]
fn a_server_with_a_token_is_trusted() {
    let trusted = trust(&user("token: t")).unwrap();
    assert_eq!(trusted.server(), "https://api.example.com:6443/");
    assert_eq!(trusted.to_kube().default_namespace, "default");
}

#[test]
fn a_server_with_ca_and_client_certificate_is_trusted() {
    let pki = Pki::new();
    let (cert, key) = (pki.cert_data(), pki.key_data());
    let trusted = trust(&kubeconfig(
        &format!("{FAR}/clusters/a, tls-server-name: api.example.com, certificate-authority-data: {cert}"),
        &format!("client-certificate-data: {cert}, client-key-data: {key}"),
    ))
    .unwrap();
    assert_eq!(trusted.server(), "https://api.example.com:6443/clusters/a");
    assert_eq!(trusted.to_kube().root_cert.map(|certs| certs.len()), Some(1));
}

#[test]
fn json_is_a_kubeconfig_too() {
    let text = r#"{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
        "clusters":[{"name":"c","cluster":{"server":"https://api.example.com"}}],
        "users":[{"name":"u","user":{"token":"t"}}]}"#;
    trust(text).unwrap();
}

#[test]
fn names_and_tokens_that_look_like_numbers_or_booleans_are_text() {
    let text = "current-context: 1e3\ncontexts: [{name: 1e3, context: {cluster: yes, user: 007}}]\n\
         clusters: [{name: yes, cluster: {server: https://api.example.com}}]\nusers: [{name: 007, user: {token: 12345}}]";
    let auth = trust(text).unwrap().to_kube().auth_info;
    assert_eq!(auth.token.unwrap().expose_secret(), "12345");
}

#[test]
fn k51_exec_in_a_kubeconfig_is_refused() {
    let dir = std::env::temp_dir().join(format!("kurator-k51-{}", std::process::id()));
    let text = user(&format!(
        "exec: {{command: touch, args: [{}], env: [{{name: A, value: {SECRET}}}]}}",
        dir.display()
    ));
    let said = fault(&text, Reason::Refused, "users[u].user.exec");
    assert!(said.contains("`touch`") && said.contains("use `token`"), "{said}");
    assert!(!dir.exists(), "the program ran");
}

#[test]
fn k51_every_field_that_reaches_out_of_the_file_is_refused_by_name() {
    for (fields, field) in [
        ("exec: {}", "exec"),
        ("exec: hello", "exec"),
        ("token: t, exec: {command: sh}", "exec"),
        ("auth-provider: {name: gcp, config: {cmd-path: sh, access-token: swordfish}}", "auth-provider"),
        ("tokenFile: /etc/passwd", "tokenFile"),
        ("token: t, tokenFile: /etc/passwd", "tokenFile"),
        ("client-certificate: /a", "client-certificate"),
        ("client-key: /a", "client-key"),
        ("token: t, as: system:admin", "as"),
        ("token: t, as-uid: '1'", "as-uid"),
        ("token: t, as-groups: ['system:masters']", "as-groups"),
        ("token: t, as-user-extra: {a: [b]}", "as-user-extra"),
        ("username: admin, password: swordfish", "username"),
        ("password: swordfish", "password"),
    ] {
        fault(&user(fields), Reason::Refused, &format!("users[u].user.{field}"));
    }
    for (fields, field) in [
        ("certificate-authority: /etc/shadow", "certificate-authority"),
        ("insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
        ("insecure-skip-tls-verify: yes", "insecure-skip-tls-verify"),
        ("proxy-url: 'http://u:swordfish@proxy.example.com'", "proxy-url"),
    ] {
        fault(&cluster(fields), Reason::Refused, &format!("clusters[c].cluster.{field}"));
    }
}

#[test]
fn k51_a_refused_field_hidden_behind_a_merge_key_is_refused() {
    let text = "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n\
         x: &x {exec: {command: sh}}\n\
         clusters: [{name: c, cluster: {server: https://api.example.com}}]\n\
         users: [{name: u, user: {<<: *x, token: t}}]\n";
    fault(text, Reason::Refused, "users[u].user.exec");
}

#[test]
fn empty_fields_mean_the_same_as_absent_ones() {
    trust(&kubeconfig(
        &format!("{FAR}, certificate-authority: '', proxy-url: '', insecure-skip-tls-verify: false"),
        "token: t, tokenFile: '', exec: null, auth-provider: ~, as: '', as-groups: [], username: '', password: ''",
    ))
    .unwrap();
}

#[test]
fn entries_that_the_context_does_not_select_are_not_looked_at() {
    let text = format!(
        "{}- {{name: other, user: {{exec: {{command: sh}}}}}}\n",
        user("token: t")
            .replace("users: [{name: u, user: {token: t}}]\n", "users:\n- {name: u, user: {token: t}}\n",)
    );
    trust(&text).unwrap();
}

#[test]
fn only_https_is_accepted() {
    let said = fault(&at("http://api.example.com"), Reason::Refused, "clusters[c].cluster.server");
    assert!(said.contains("http://api.example.com"), "{said}");
    fault(&at("https://u:swordfish@api.example.com"), Reason::Refused, "clusters[c].cluster.server");
    fault(&at("ftp://u:swordfish@api.example.com"), Reason::Refused, "clusters[c].cluster.server");
}

#[test]
fn addresses_that_no_member_can_have_are_refused() {
    for host in [
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[::a9fe:a9fe]",
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "LOCALHOST.",
        "api.localhost",
        "0.0.0.0",
        "0.1.2.3",
        "[::]",
        "224.0.0.1",
        "255.255.255.255",
        "[ff02::1]",
    ] {
        let said = fault(&at(&format!("https://{host}:6443")), Reason::Refused, "clusters[c].cluster.server");
        assert!(said.contains(host), "{said}");
    }
}

#[test]
fn loopback_is_a_matter_of_policy_and_link_local_is_not() {
    let policy = TrustPolicy { allow_loopback: true };
    for host in ["127.0.0.1", "[::1]", "localhost", "[::ffff:127.0.0.1]", "10.0.0.1", "[fd00::1]"] {
        UntrustedKubeconfig::new(at(&format!("https://{host}")).as_bytes()).trust(&policy).expect(host);
    }
    for host in ["169.254.0.1", "[fe80::1]", "0.0.0.0", "[::]"] {
        UntrustedKubeconfig::new(at(&format!("https://{host}")).as_bytes()).trust(&policy).expect_err(host);
    }
}

#[test]
fn a_file_that_is_no_yaml_is_called_the_file() {
    let policy = TrustPolicy { allow_loopback: false };
    let error = UntrustedKubeconfig::new(b"- swordfish").trust(&policy).unwrap_err().to_string();
    assert!(
        error.starts_with("kubeconfig file is not usable: it is not YAML of the expected shape"),
        "{error}"
    );
}

#[test]
fn k14_a_malformed_kubeconfig_names_what_is_wrong() {
    let pki = Pki::new();
    let (cert, key) = (pki.cert_data(), pki.key_data());
    let ca = "certificate-authority-data";
    for (text, field) in [
        (String::new(), "."),
        ("swordfish".to_owned(), "."),
        ("- swordfish".to_owned(), "."),
        ("token: 'swordfish".to_owned(), "."),
        ("\u{0}swordfish".to_owned(), "."),
        ("kind: Secret".to_owned(), "kind"),
        ("{}".to_owned(), "current-context"),
        (user("token: t").replace("current-context: c", "current-context: ''"), "current-context"),
        (user("token: t").replace("current-context: c", "current-context: d"), "current-context"),
        (user("token: t").replace("{cluster: c, ", "{cluster: d, "), "contexts[c].context.cluster"),
        (user("token: t").replace("{cluster: c, ", "{"), "contexts[c].context.cluster"),
        (
            user("token: t").replace(", user: u}}]\nclusters", ", user: v}}]\nclusters"),
            "contexts[c].context.user",
        ),
        (user("token: t").replace(", user: u}}]\nclusters", "}}]\nclusters"), "contexts[c].context.user"),
        (user("token: t").replace("clusters: [", "clusters: [{name: c}, "), "clusters"),
        (user(""), "users[u].user"),
        (user("token: ''"), "users[u].user"),
        (user("token: 'swordfish '"), "users[u].user.token"),
        (user("token: \"swordfish\\n\""), "users[u].user.token"),
        (user(&format!("client-certificate-data: {cert}")), "users[u].user.client-key-data"),
        (user(&format!("client-key-data: {key}")), "users[u].user.client-certificate-data"),
        (
            user(&format!("client-certificate-data: {cert}, client-key-data: {cert}")),
            "users[u].user.client-key-data",
        ),
        (
            user(&format!("client-certificate-data: {key}, client-key-data: {key}")),
            "users[u].user.client-certificate-data",
        ),
        (kubeconfig("", "token: t"), "clusters[c].cluster.server"),
        (at("api.example.com:6443"), "clusters[c].cluster.server"),
        (at("https://"), "clusters[c].cluster.server"),
        (at("https://api.example.com/?a=b"), "clusters[c].cluster.server"),
        (at("https://api.example.com/#a"), "clusters[c].cluster.server"),
        (cluster(&format!("{ca}: '***'")), "clusters[c].cluster.certificate-authority-data"),
        (cluster(&format!("{ca}: c3dvcmRmaXNo")), "clusters[c].cluster.certificate-authority-data"),
        (cluster(&format!("{ca}: {key}")), "clusters[c].cluster.certificate-authority-data"),
        (cluster("tls-server-name: 'a b'"), "clusters[c].cluster.tls-server-name"),
        (format!("{}---\n{}", user("token: t"), user("token: t")), "."),
    ] {
        fault(&text, Reason::Malformed, field);
    }
}

#[test]
fn k14_bytes_that_are_no_text_are_malformed() {
    let error = UntrustedKubeconfig::new(&[0xff, 0xfe, 0]).trust(&TrustPolicy::default()).unwrap_err();
    assert_eq!(error.reason(), Reason::Malformed);
}

#[test]
fn bombs_are_refused_at_once() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let below = format!("*a{},", level - 1).repeat(10);
        aliases.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let big = format!("{}# {}", user("token: t"), "x".repeat(2 << 20));
    for (what, bomb) in [
        ("aliases", aliases),
        ("flow nesting", "[".repeat(100_000)),
        ("block nesting", "- ".repeat(100_000)),
        ("nesting in a refused field", user(&format!("exec: {}", "[".repeat(10_000)))),
        ("maps", "{a: ".repeat(100_000)),
        ("size", big),
    ] {
        let start = Instant::now();
        let error = trust(&bomb).expect_err(what);
        assert_eq!(error.reason(), Reason::Malformed, "{what}: {error}");
        assert!(start.elapsed() < Duration::from_secs(2), "{what} took {:?}", start.elapsed());
    }
}

#[test]
fn a_strangers_names_are_shortened_in_messages() {
    let name = "\u{1b}[31m".repeat(1000);
    let text = user("exec: {}").replace("user: u}", "user: \"N\"}").replace("name: u", "name: \"N\"");
    let text = text.replace("\"N\"", &format!("{:?}", name.replace('\u{1b}', "E\n")));
    let said = trust(&text).unwrap_err().to_string();
    assert!(said.chars().count() < 400 && !said.contains('\n'), "{said}");
}

#[test]
fn nothing_secret_is_shown_of_a_trusted_configuration() {
    let trusted = trust(&user(&format!("token: {SECRET}"))).unwrap();
    assert!(!format!("{trusted:?}").contains(SECRET));
    assert!(!format!("{:?}", UntrustedKubeconfig::new(SECRET.as_bytes())).contains(SECRET));
}

#[test]
fn the_fingerprint_follows_what_a_client_is_made_of_and_nothing_else() {
    let of = |text: &str| trust(text).unwrap().fingerprint().to_owned();
    let one = of(&user("token: t"));
    assert_eq!(one.len(), 64);
    assert_eq!(one, of(&format!("# a comment\n{}", user("token: 't', username: ''"))));
    assert_ne!(one, of(&user("token: rotated")));
    assert_ne!(one, of(&at("https://api.example.com:6444")));
    assert_ne!(one, of(&cluster("tls-server-name: other.example.com")));
    assert_ne!(one, of(&cluster(&format!("certificate-authority-data: {}", Pki::new().cert_data()))));
}
