//! What real clients are led to, and what they are led past: redirects, variables that name no proxy, certificates that hold
//! for one session.

use super::World;
use super::common::have;

#[test]
fn px_09_a_client_that_follows_redirects_is_judged_at_each() {
    let test = "px_09_a_client_that_follows_redirects_is_judged_at_each";
    let Some(world) = World::new(test, false) else { return };
    if !have(test, "curl") {
        return;
    }
    let mut script = String::new();
    for to in [
        "http://allowed.test/hello",
        "http://other.test/hello",
        "http://denied.test/hello",
        "https://other.test/hello",
        "http://10.0.0.5/hello",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:10.0.0.5]/hello",
        "http://allowed.test@other.test/hello",
        "http://allowed.test/to?http://other.test/hello",
    ] {
        script.push_str(&format!(
            "curl -sLm 20 -o body -w '%{{http_code}}/%{{http_connect}} %{{num_redirects}}\\n' 'http://allowed.test/to?{to}'; "
        ));
    }
    let ran = world.inside(&script);
    let lines: Vec<&str> = ran.out.lines().collect();
    let refused = "403/000 1";
    let wanted = ["200/000 1", refused, refused, "000/403 1", refused, refused, "400/000 1", refused, "403/000 2"];
    assert_eq!(lines, wanted, "{}", ran.err);
    // What the redirects name isn't even looked up.
    assert!(world.asked().iter().all(|name| name == "allowed.test"), "{:?}", world.asked());
}

#[test]
fn px_13_no_variable_makes_a_direct_connection() {
    let test = "px_13_no_variable_makes_a_direct_connection";
    let Some(world) = World::new(test, false) else { return };
    if !have(test, "curl") {
        return;
    }
    let unset = "env -u http_proxy -u HTTP_PROXY -u https_proxy -u HTTPS_PROXY -u all_proxy -u ALL_PROXY";
    let mut script = String::new();
    for how in [
        "env NO_PROXY='*' no_proxy='*' curl".to_owned(),
        "env NO_PROXY=.test no_proxy=.test curl".to_owned(),
        "curl --noproxy '*'".to_owned(),
        format!("{unset} curl"),
        "env http_proxy=http://93.184.216.34:80 HTTP_PROXY=http://93.184.216.34:80 curl".to_owned(),
        "curl -x socks5h://93.184.216.34:7000".to_owned(),
        format!("{unset} curl --resolve other.test:80:93.184.216.34"),
    ] {
        script.push_str(&format!(
            "{how} -sm 10 http://other.test/hello > body && echo \"OUT: {how}\"; [ -s body ] && cat body; "
        ));
    }
    let ran = world.inside(&format!("{script} echo done"));
    assert_eq!(ran.out, "done\n", "{}", ran.err);
    let asked = std::fs::read_to_string(world.place.path("world/asked")).unwrap_or_default();
    assert_eq!(asked, "", "somebody was asked");
}

#[test]
fn px_12_a_sessions_certificates_are_its_own_and_gone_with_it() {
    let test = "px_12_a_sessions_certificates_are_its_own_and_gone_with_it";
    let more = "[network.tls]\nintercept = [\"allowed.test:443\"]\n";
    let Some(world) = World::with(test, false, more) else { return };
    if !have(test, "curl") {
        return;
    }
    let get = "curl -sm 20 https://allowed.test/hello";
    let script = format!(
        "{get}; cp \"$SSL_CERT_FILE\" ca.pem; chmod u+w \"$SSL_CERT_FILE\" 2> said || echo kept; \
         ( echo > \"$SSL_CERT_FILE\" ) 2> said || echo kept; rm -f \"$SSL_CERT_FILE\" 2> said || echo kept; {get}; \
         grep -rlI 'PRIVATE KEY' \"$HOME/.ringfence\" \"$(dirname \"$SSL_CERT_FILE\")\"; echo end"
    );
    let hello = "hello from afar\n";
    let ran = world.inside(&script).ends(0);
    assert_eq!(ran.out, format!("{hello}kept\nkept\nkept\n{hello}end\n"), "{}", ran.err);
    let left = || -> Vec<String> {
        let state = std::fs::read_dir(world.place.path("home/.ringfence/state")).into_iter().flatten().flatten();
        let names = state.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains("-ca-")).collect()
    };
    assert!(left().is_empty(), "{:?}", left());
    // What one session trusts is nothing to the next: its hosts' certificates are another authority's.
    let ran = world.inside(&format!("{get} --cacert ca.pem; echo $?; {get}")).ends(0);
    assert_eq!(ran.out, format!("60\n{hello}"), "{}", ran.err);
    assert!(left().is_empty(), "{:?}", left());
}
