//! Every pair of layers × every key: what the two say together follows from the key's row and from nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Start, abs};
use ringfence_config::gather::gather;
use ringfence_config::layers::Document;
use ringfence_config::node::{Node, Source, Table, Value, at, path_text};
use ringfence_config::registry::{Fallback, KEYS, Key, Kind, Merge, Order, ProjectRule};
use ringfence_config::resolve::Facts;
use ringfence_config::stack::Stack;
use ringfence_config::{ProjectFacts, order};
use ringfence_model::Requirements;
use ringfence_model::origin::{Layer, Origin, Sourced};
use std::cmp::Ordering;

const LAYERS: [Layer; 7] = [
    Layer::System,
    Layer::User,
    Layer::Profile,
    Layer::Project,
    Layer::CommandLine,
    Layer::Managed,
    Layer::ManagedPreferences,
];

/// Two values of a kind, different from each other; the first is the stricter one where one is.
fn samples(key: &Key) -> [String; 2] {
    if let Order::Words(words) = key.order {
        return [format!("\"{}\"", words[0]), format!("\"{}\"", words[words.len() - 1])];
    }
    let pair = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
    match (&key.kind, key.order) {
        (Kind::Bool, Order::False) => pair("false", "true"),
        (Kind::Bool, _) => pair("true", "false"),
        (Kind::Integer(..), _) => pair("5000", "6000"),
        (Kind::Seconds, _) => pair("1", "2.5"),
        (Kind::Text, _) => pair("\"one\"", "\"two\""),
        (Kind::Choice(words), _) => [format!("\"{}\"", words[0]), format!("\"{}\"", words[1])],
        (Kind::Size, _) => pair("\"1MiB\"", "\"2MiB\""),
        (Kind::Duration, _) => pair("\"1s\"", "\"2s\""),
        (Kind::Path | Kind::AbsolutePath | Kind::PathGlob, _) => pair("\"/one\"", "\"/two\""),
        (Kind::List(Kind::Choice(words)), _) => [format!("[\"{}\"]", words[0]), format!("[\"{}\"]", words[1])],
        (Kind::List(_), Order::FewerEntries) => pair("[\"/one\"]", "[\"/one\", \"/two\"]"),
        (Kind::List(_), _) => pair("[\"/one\", \"/two\"]", "[\"/two\"]"),
        (Kind::Map(Kind::Choice(words)), _) => {
            let denial = if words.contains(&"deny") { "deny" } else { "exclude" };
            let grant = words.iter().find(|word| **word != denial).expect("two words");
            [format!("{{ one = \"{denial}\" }}"), format!("{{ one = \"{grant}\", two = \"{grant}\" }}")]
        }
        (Kind::Map(Kind::List(_)), _) => pair("{ one = [\"GET\"] }", "{ two = [\"GET\"] }"),
        (Kind::Map(_), _) => pair("{ one = \"1\" }", "{ one = \"2\", two = \"2\" }"),
        (Kind::Policy, _) => pair("\"untrusted\"", "\"never\""),
        (Kind::Exporter, _) => pair("\"none\"", "\"otlp-http\""),
        (Kind::Either(_), _) => pair("\"deny\"", "\"write\""),
    }
}

fn concrete(key: &Key) -> Vec<String> {
    let name = |part: &str| {
        if part == "*" { if key.path.starts_with("projects") { "/w/x" } else { "any" } } else { part }.to_owned()
    };
    key.path.split('.').map(name).collect()
}

fn document(layer: Layer, path: &[String], value: &str) -> Document {
    let text = format!("{} = {value}\n", path_text(path));
    let source = Source::file(format!("/{layer:?}.toml"), layer);
    Document::parse(text.as_bytes(), source).unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

/// The layers in which the key is written, and what they say together.
fn stack(key: &Key, said: &[(Layer, &str)]) -> Stack {
    let path = concrete(key);
    let mut start = Start::new();
    start.request.project = Some(ProjectFacts { root: abs("/w/app"), version_controlled: true });
    let mut layers = gather(&start.request, &start.world).expect("nothing there").layers;
    for (layer, value) in said {
        let document = || Some(document(*layer, &path, value));
        match layer {
            Layer::System => layers.system = document(),
            Layer::User => layers.user = document(),
            Layer::Profile => {
                layers.profile = Some(Sourced::new("p".into(), Origin::flag("--profile")));
                layers.profile_file = document();
            }
            Layer::Project => layers.projects = document().into_iter().collect(),
            Layer::CommandLine => layers.flags.config(&format!("{}={value}", path_text(&path))).expect("a flag"),
            Layer::Managed => layers.managed = document(),
            _ => layers.preferences = document(),
        }
    }
    let facts = Facts {
        cwd: abs("/w/app"),
        user_home: Some(abs("/home/me")),
        tmpdir: None,
        project: ProjectFacts { root: abs("/w/app"), version_controlled: true },
    };
    Stack::build(&layers, &Requirements::default(), &facts, /* strict */ true)
        .unwrap_or_else(|error| panic!("{}: {said:?}: {error}", key.path))
}

/// The same, worked out from the row by hand.
fn expected(key: &Key, said: &[(Layer, &str)]) -> Option<Value> {
    let path = concrete(key);
    let mut held: Option<Value> = None;
    let mut by_flag = false;
    for (layer, text) in said {
        let document = document(*layer, &path, text);
        let mut value = at(&document.table, &path).expect("written").value.clone();
        if *layer == Layer::Project && !may(key, &mut value, held.as_ref()) {
            continue;
        }
        // The one exception: a flag's stricter mode holds against an administrator's default.
        let managed = matches!(layer, Layer::Managed | Layer::ManagedPreferences);
        if key.path == "sandbox_mode"
            && managed
            && by_flag
            && order::compare(key, held.as_ref(), Some(&value)).is_some_and(Ordering::is_ge)
        {
            continue;
        }
        by_flag = *layer == Layer::CommandLine;
        held = Some(match (held, key.merge) {
            (None, _) | (_, Merge::Replace) => value,
            (Some(below), Merge::AddUp) => add_up(below, value),
            (Some(below), Merge::ByName) => by_name(below, value, key.order == Order::Denials),
        });
    }
    held
}

fn may(key: &Key, value: &mut Value, held: Option<&Value>) -> bool {
    match (key.project, key.order) {
        (ProjectRule::Free, _) => true,
        (ProjectRule::Ignored, _) => false,
        (ProjectRule::Tighten, Order::Denials) => match value {
            Value::Table(table) => {
                table.retain(|_, node| order::is_denial(&node.value));
                true
            }
            value => order::is_denial(value),
        },
        (ProjectRule::Tighten, _) => {
            let default = match (key.path, key.default) {
                ("sandbox_mode", _) => Some(Value::Text("workspace-write".into())),
                ("approval_policy", _) => Some(Value::Text("on-request".into())),
                ("web_search", _) => Some(Value::Text("cached".into())),
                (_, Fallback::Bool(value)) => Some(Value::Bool(value)),
                _ => None,
            };
            order::compare(key, Some(value), held.or(default.as_ref())).is_some_and(Ordering::is_ge)
        }
    }
}

fn add_up(below: Value, over: Value) -> Value {
    let (Value::List(mut list), Value::List(more)) = (below, over) else { panic!("lists add up") };
    for node in more {
        if !list.iter().any(|known| known.value.says_the_same(&node.value)) {
            list.push(node);
        }
    }
    Value::List(list)
}

fn by_name(below: Value, over: Value, sticky: bool) -> Value {
    match (below, over) {
        (Value::Table(mut table), Value::Table(over)) => {
            for (name, node) in over {
                let keep = sticky && table.get(&name).is_some_and(|known| order::is_denial(&known.value));
                if !keep {
                    table.insert(name, node);
                }
            }
            Value::Table(table)
        }
        (below, over) => {
            if sticky && order::is_denial(&below) {
                below
            } else {
                over
            }
        }
    }
}

fn says(table: &Table, path: &[String]) -> Option<Value> {
    at(table, path).map(|node: &Node| node.value.clone())
}

#[test]
fn every_pair_of_layers_and_every_key() {
    let mut cases = 0;
    for key in KEYS {
        // These two are other spellings; what they turn into is in the matrix.
        if key.path.starts_with("features.") {
            continue;
        }
        let [strict, loose] = samples(key);
        for (index, lower) in LAYERS.iter().enumerate() {
            for higher in &LAYERS[index + 1..] {
                if [lower, higher].contains(&&Layer::Profile)
                    && matches!(key.path.split('.').next(), Some("profile" | "projects"))
                {
                    continue;
                }
                for (first, second) in [(&strict, &loose), (&loose, &strict)] {
                    let said = [(*lower, first.as_str()), (*higher, second.as_str())];
                    let found = says(&stack(key, &said).table, &concrete(key));
                    let wanted = expected(key, &said);
                    let same = match (&found, &wanted) {
                        (Some(found), Some(wanted)) => found.says_the_same(wanted),
                        // A table that a project's rule emptied may stay, empty.
                        (Some(Value::Table(table)), None) => table.is_empty(),
                        (found, wanted) => found.is_none() && wanted.is_none(),
                    };
                    assert!(same, "{} with {said:?}: found {found:?}, expected {wanted:?}", key.path);
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 3_500, "{cases} cases");
    println!("{cases} cases");
}

#[test]
fn a_project_alone_never_loosens_any_key() {
    for key in KEYS.iter().filter(|key| !key.path.starts_with("features.")) {
        for value in samples(key) {
            let stack = stack(key, &[(Layer::Project, &value)]);
            let Some(node) = at(&stack.table, &concrete(key)) else { continue };
            if matches!(&node.value, Value::Table(table) if table.is_empty()) {
                continue;
            }
            assert_ne!(key.project, ProjectRule::Ignored, "{} = {value}", key.path);
            if key.project == ProjectRule::Tighten {
                let nothing = expected(key, &[]);
                let default = match key.path {
                    "sandbox_mode" => Some(Value::Text("workspace-write".into())),
                    "approval_policy" => Some(Value::Text("on-request".into())),
                    "web_search" => Some(Value::Text("cached".into())),
                    _ => nothing,
                };
                let order = order::compare(key, Some(&node.value), default.as_ref());
                assert!(order.is_some_and(Ordering::is_ge), "{} = {value}", key.path);
            }
        }
    }
}
