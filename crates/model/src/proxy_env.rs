//! The variables by which programs find the proxy of a managed network, as one table.
//!
//! They are a convenience and no protection: a program that ignores them has no network.

/// Where the proxy is, as seen from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyPlace<'a> {
    /// Port of the HTTP listener on loopback.
    pub http_port: u16,
    /// Port of the SOCKS5 listener; 0 if there is none.
    pub socks_port: u16,
    /// A file with the certificates to trust, if TLS is opened for some hosts.
    pub ca_file: Option<&'a str>,
    /// The same as a key store of Java.
    pub java_trust: Option<&'a str>,
    /// The program that connects `ssh` through the proxy, if it can be run inside.
    pub connector: Option<&'a str>,
}

/// What a variable's value is made from.
enum Value {
    /// `http://127.0.0.1:PORT`.
    Http,
    /// `socks5h://127.0.0.1:PORT`: names are resolved by the proxy. Left out without SOCKS.
    Socks,
    /// `127.0.0.1:PORT` of the HTTP listener.
    HttpAddress,
    /// The port of the HTTP listener.
    HttpPort,
    /// Always this.
    Fixed(&'static str),
    /// Properties of a Java machine.
    Java,
    /// `ssh` through the proxy. Left out without a connector.
    Ssh,
    /// The file with certificates. Left out where TLS isn't opened.
    CaFile,
}

const LOOPBACK: &str = "localhost,127.0.0.1,::1";

const TABLE: &[(&str, Value, &str)] = &[
    ("HTTP_PROXY", Value::Http, "the common variables, which curl, git, pip, npm, cargo, go, wget, apt, docker read"),
    ("HTTPS_PROXY", Value::Http, "the same"),
    ("http_proxy", Value::Http, "the same; curl reads only this spelling"),
    ("https_proxy", Value::Http, "the same"),
    (
        "ALL_PROXY",
        Value::Http,
        "the same; HTTP, because Python clients stop at a SOCKS address without an extra package",
    ),
    ("all_proxy", Value::Http, "the same"),
    (
        "WS_PROXY",
        Value::Http,
        "WebSocket clients on Python, which would take `SOCKS_PROXY` and miss an extra package, or look no further",
    ),
    ("WSS_PROXY", Value::Http, "the same"),
    ("ws_proxy", Value::Http, "the same"),
    ("wss_proxy", Value::Http, "the same"),
    ("SOCKS_PROXY", Value::Socks, "programs that speak SOCKS only"),
    ("socks_proxy", Value::Socks, "the same"),
    ("NO_PROXY", Value::Fixed(LOOPBACK), "loopback inside is the sandbox's own"),
    ("no_proxy", Value::Fixed(LOOPBACK), "the same"),
    ("GRPC_PROXY", Value::Http, "gRPC"),
    ("RSYNC_PROXY", Value::HttpAddress, "rsync"),
    ("PIP_PROXY", Value::Http, "pip, also where its configuration names another"),
    ("CARGO_HTTP_PROXY", Value::Http, "cargo, the same"),
    ("npm_config_proxy", Value::Http, "npm and pnpm, the same"),
    ("npm_config_https_proxy", Value::Http, "the same"),
    ("npm_config_noproxy", Value::Fixed(LOOPBACK), "the same"),
    ("YARN_HTTP_PROXY", Value::Http, "yarn"),
    ("YARN_HTTPS_PROXY", Value::Http, "yarn"),
    ("NODE_USE_ENV_PROXY", Value::Fixed("1"), "node's own fetch, from version 22.21 on"),
    ("GLOBAL_AGENT_HTTP_PROXY", Value::Http, "older node programs that load global-agent"),
    ("ELECTRON_GET_USE_PROXY", Value::Fixed("1"), "electron's downloader"),
    ("CLOUDSDK_PROXY_TYPE", Value::Fixed("http"), "gcloud"),
    ("CLOUDSDK_PROXY_ADDRESS", Value::Fixed("127.0.0.1"), "gcloud"),
    ("CLOUDSDK_PROXY_PORT", Value::HttpPort, "gcloud"),
    ("JAVA_TOOL_OPTIONS", Value::Java, "gradle, maven and everything else on Java, which reads no proxy variables"),
    ("GIT_SSH_COMMAND", Value::Ssh, "git over ssh"),
    ("SSL_CERT_FILE", Value::CaFile, "OpenSSL, go, rustls, ruby"),
    ("NIX_SSL_CERT_FILE", Value::CaFile, "nix"),
    ("CURL_CA_BUNDLE", Value::CaFile, "curl"),
    ("REQUESTS_CA_BUNDLE", Value::CaFile, "Python requests"),
    ("PIP_CERT", Value::CaFile, "pip"),
    ("NODE_EXTRA_CA_CERTS", Value::CaFile, "node"),
    ("npm_config_cafile", Value::CaFile, "npm"),
    ("GIT_SSL_CAINFO", Value::CaFile, "git"),
    ("CARGO_HTTP_CAINFO", Value::CaFile, "cargo"),
    ("AWS_CA_BUNDLE", Value::CaFile, "AWS clients"),
    ("DENO_CERT", Value::CaFile, "deno"),
    ("BUNDLE_SSL_CA_CERT", Value::CaFile, "bundler"),
    ("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", Value::CaFile, "gcloud"),
];

/// The variables to set inside, in the table's order.
#[must_use]
pub fn variables(place: &ProxyPlace<'_>) -> Vec<(&'static str, String)> {
    TABLE.iter().filter_map(|(name, value, _)| Some((*name, value.text(place)?))).collect()
}

/// Every variable with the programs that read it.
pub fn documented() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|(name, _, readers)| (*name, *readers))
}

impl Value {
    fn text(&self, place: &ProxyPlace<'_>) -> Option<String> {
        let http = place.http_port;
        match self {
            Self::Http => Some(format!("http://127.0.0.1:{http}")),
            Self::Socks => (place.socks_port != 0).then(|| format!("socks5h://127.0.0.1:{}", place.socks_port)),
            Self::HttpAddress => Some(format!("127.0.0.1:{http}")),
            Self::HttpPort => Some(http.to_string()),
            Self::Fixed(text) => Some((*text).to_owned()),
            Self::Java => Some(format!(
                "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort={http} -Dhttps.proxyHost=127.0.0.1 \
                 -Dhttps.proxyPort={http} -Dhttp.nonProxyHosts=localhost|127.*|[::1] {MAVEN}{}",
                place.java_trust.and_then(trust_store).unwrap_or_default(),
            )),
            Self::Ssh => {
                // A path that a shell would read otherwise is left out rather than quoted twice.
                let plain = |path: &&str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b));
                let connector = place.connector.filter(plain)?;
                Some(format!("ssh -o ProxyCommand='{connector} proxy connect --via 127.0.0.1:{http} %h %p'"))
            }
            Self::CaFile => place.ca_file.map(str::to_owned),
        }
    }
}

/// Maven from 3.9 on looks at those properties only if it is told to.
const MAVEN: &str = "-Daether.connector.http.useSystemProperties=true";

/// The properties that name a key store. One that Java couldn't be told of is left out.
fn trust_store(path: &str) -> Option<String> {
    let quote = match path {
        _ if path.contains(['\'', '\n']) => return None,
        _ if path.contains(char::is_whitespace) => "'",
        _ => "",
    };
    Some(format!(" -Djavax.net.ssl.trustStoreType=jks {quote}-Djavax.net.ssl.trustStore={path}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_what_has_no_value_is_left_out() {
        let bare = ProxyPlace { http_port: 3128, socks_port: 0, ca_file: None, java_trust: None, connector: None };
        let set = variables(&bare);
        assert!(set.contains(&("https_proxy", "http://127.0.0.1:3128".to_owned())));
        assert!(!set.iter().any(|(name, _)| matches!(*name, "SOCKS_PROXY" | "SSL_CERT_FILE" | "GIT_SSH_COMMAND")));
        let full = ProxyPlace {
            socks_port: 8081,
            ca_file: Some("/run/ca.pem"),
            java_trust: Some("/run/a b/ca.jks"),
            connector: Some("/usr/bin/ringfence"),
            ..bare
        };
        let set = variables(&full);
        assert_eq!(set.len(), TABLE.len());
        let has = |name, value: &str| set.contains(&(name, value.to_owned()));
        assert!(has("https_proxy", "http://127.0.0.1:3128"));
        assert!(has("SOCKS_PROXY", "socks5h://127.0.0.1:8081"));
        let java =
            |set: &[(&str, String)]| set.iter().find(|(name, _)| *name == "JAVA_TOOL_OPTIONS").unwrap().1.clone();
        assert!(java(&set).ends_with(" '-Djavax.net.ssl.trustStore=/run/a b/ca.jks'"), "{}", java(&set));
        assert!(!java(&variables(&bare)).contains("trustStore"));
        let mut names: Vec<_> = set.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        let odd = ProxyPlace { connector: Some("/tmp/a'b"), ..bare };
        assert!(!variables(&odd).iter().any(|(name, _)| *name == "GIT_SSH_COMMAND"));
    }
}
