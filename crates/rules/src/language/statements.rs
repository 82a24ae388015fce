//! The three statements of rule files: their arguments, checked, become rules.

use super::eval::Arguments;
use super::value::{Heap, Value, fault, type_fault};
use super::{Fault, LoadProblem, Loaded, at};
use crate::decision::Decision;
use crate::program;
use crate::rule::{Alternatives, Example, HostExecutable, NetworkDecision, NetworkProtocol, NetworkRule, PrefixRule};
use ringfence_model::{Origin, text::escape};

pub(super) const PREFIX_RULE: &str = "prefix_rule";
const HOST_EXECUTABLE: &str = "host_executable";
const NETWORK_RULE: &str = "network_rule";

/// The parameters of `prefix_rule`, in order.
pub(super) const PREFIX_RULE_PARAMETERS: &[&str] = &["pattern", "decision", "match", "not_match", "justification"];

pub(super) const NAMES: &[&str] = &[PREFIX_RULE, HOST_EXECUTABLE, NETWORK_RULE];

/// Collects the statements of one file.
pub(super) struct Sink<'f> {
    file: &'f Origin,
    home: Option<&'f str>,
    made: usize,
    pub(super) loaded: Loaded,
}

/// Arguments bound to a statement's parameters.
struct Bound {
    statement: &'static str,
    values: Vec<Option<Value>>,
    names: &'static [&'static str],
}

impl Bound {
    fn new(statement: &'static str, names: &'static [&'static str], given: Arguments) -> Result<Self, Fault> {
        let mut bound = Self { statement, values: vec![None; names.len()], names };
        if given.positional.len() > names.len() {
            return Err(bound.problem(format!("takes at most {} arguments", names.len())));
        }
        for (slot, value) in bound.values.iter_mut().zip(given.positional) {
            *slot = Some(value);
        }
        for (name, value) in given.named {
            let Some(index) = names.iter().position(|known| *known == name) else {
                let hint = format!("has no argument `{}`; it has {}", escape(&name), listed(names));
                return Err(bound.problem(hint));
            };
            match bound.values.get_mut(index) {
                Some(slot @ None) => *slot = Some(value),
                _ => return Err(bound.problem(format!("`{name}` is given twice"))),
            }
        }
        Ok(bound)
    }

    fn problem(&self, text: impl Into<String>) -> Fault {
        fault(LoadProblem::Argument { statement: self.statement, text: text.into() })
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.names.iter().position(|known| *known == name)?;
        self.values.get_mut(index)?.take()
    }

    fn required(&mut self, name: &str) -> Result<Value, Fault> {
        self.take(name).ok_or_else(|| self.problem(format!("`{name}` isn't given")))
    }

    fn string(&self, name: &str, value: &Value) -> Result<String, Fault> {
        match value {
            Value::Str(text) => Ok(text.to_string()),
            other => Err(self.problem(format!("`{name}` must be a string, not a {}", other.type_name()))),
        }
    }

    fn list(&self, heap: &mut Heap<'_>, name: &str, value: &Value) -> Result<Vec<Value>, Fault> {
        match value {
            Value::List(_) => heap.iterate(value),
            other => Err(self.problem(format!("`{name}` must be a list, not a {}", other.type_name()))),
        }
    }

    fn justification(&mut self) -> Result<Option<String>, Fault> {
        let Some(value) = self.take("justification") else { return Ok(None) };
        let text = self.string("justification", &value)?;
        if text.trim().is_empty() {
            return Err(self.problem("`justification` is blank; say why, or leave it out"));
        }
        Ok(Some(text))
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl<'f> Sink<'f> {
    pub(super) fn new(file: &'f Origin, home: Option<&'f str>) -> Self {
        Self { file, home, made: 0, loaded: Loaded::default() }
    }

    /// Where a statement stands whose call begins on `line`.
    pub(super) fn origin(&self, line: usize) -> Origin {
        at(self.file, line, 0)
    }

    fn count(&mut self, heap: &Heap<'_>) -> Result<(), Fault> {
        self.made += 1;
        let limit = heap.meter.limits().statements;
        if self.made > limit { Err(fault(LoadProblem::Statements(limit))) } else { Ok(()) }
    }

    /// Takes a `prefix_rule` that is made already.
    pub(super) fn rule(&mut self, heap: &Heap<'_>, rule: PrefixRule) -> Result<(), Fault> {
        self.count(heap)?;
        self.loaded.rules.push(rule);
        Ok(())
    }

    /// Makes one statement, whose call begins on `line`.
    pub(super) fn statement(
        &mut self,
        heap: &mut Heap<'_>,
        name: &'static str,
        given: Arguments,
        line: usize,
    ) -> Result<Value, Fault> {
        self.count(heap)?;
        let origin = self.origin(line);
        match name {
            PREFIX_RULE => {
                let rule = prefix_rule(heap, given, origin)?;
                self.loaded.rules.push(rule);
            }
            HOST_EXECUTABLE => {
                let host = host_executable(heap, given, origin, self.home)?;
                self.loaded.hosts.push(host);
            }
            NETWORK_RULE => self.loaded.network.push(network_rule(given, origin)?),
            other => return type_fault(format!("`{other}` isn't a statement")),
        }
        Ok(Value::None)
    }
}

fn prefix_rule(heap: &mut Heap<'_>, given: Arguments, origin: Origin) -> Result<PrefixRule, Fault> {
    let mut bound = Bound::new(PREFIX_RULE, PREFIX_RULE_PARAMETERS, given)?;
    let pattern = bound.required("pattern")?;
    let places = bound.list(heap, "pattern", &pattern)?;
    if places.is_empty() {
        return Err(bound.problem("`pattern` is empty; it would match every command"));
    }
    let mut pattern = Vec::with_capacity(places.len());
    for place in &places {
        pattern.push(alternatives(heap, &bound, place)?);
    }
    let decision = match bound.take("decision") {
        None => Decision::Allow,
        Some(value) => {
            let name = bound.string("decision", &value)?;
            Decision::from_name(&name).ok_or_else(|| {
                bound.problem(format!("`decision` is `allow`, `prompt` or `forbidden`, not `{}`", escape(&name)))
            })?
        }
    };
    let matches = examples(heap, &mut bound, "match")?;
    let not_matches = examples(heap, &mut bound, "not_match")?;
    let justification = bound.justification()?;
    Ok(PrefixRule { pattern, decision, justification, matches, not_matches, origin })
}

fn alternatives(heap: &mut Heap<'_>, bound: &Bound, place: &Value) -> Result<Alternatives, Fault> {
    match place {
        Value::Str(token) => {
            heap.meter.make(token.len())?;
            Ok(Alternatives::One(token.to_string()))
        }
        Value::List(_) => {
            let mut tokens = Vec::new();
            for token in heap.iterate(place)? {
                match token {
                    Value::Str(token) => {
                        heap.meter.make(token.len())?;
                        tokens.push(token.to_string());
                    }
                    other => {
                        let text = format!("an alternative of `pattern` must be a string, not a {}", other.type_name());
                        return Err(bound.problem(text));
                    }
                }
            }
            if tokens.is_empty() {
                return Err(bound.problem("a list of alternatives in `pattern` is empty; it would match nothing"));
            }
            Ok(Alternatives::Any(tokens))
        }
        other => Err(bound.problem(format!(
            "an element of `pattern` must be a string or a list of strings, not a {}",
            other.type_name()
        ))),
    }
}

/// The words of an example's line, split like a POSIX shell would; none where a quote isn't finished.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    // Nearly every example has nothing but blanks in it that a shell would see.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" -_./:=,+@%".contains(&byte) || !byte.is_ascii();
    match line.bytes().all(plain) {
        true => Some(line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()),
        false => shlex::split(line),
    }
}

fn examples(heap: &mut Heap<'_>, bound: &mut Bound, name: &'static str) -> Result<Vec<Example>, Fault> {
    let Some(value) = bound.take(name) else { return Ok(Vec::new()) };
    let mut examples = Vec::new();
    for one in bound.list(heap, name, &value)? {
        examples.push(match &one {
            Value::Str(line) => {
                heap.meter.make(line.len())?;
                let words = words(line).ok_or_else(|| {
                    bound.problem(format!("the example `{}` in `{name}` has an unfinished quote", escape(line)))
                })?;
                Example { words, line: Some(line.to_string()) }
            }
            Value::List(_) => {
                let mut words = Vec::new();
                for word in heap.iterate(&one)? {
                    words.push(bound.string(name, &word)?);
                }
                Example { words, line: None }
            }
            other => {
                let text = format!("an example in `{name}` must be a string or a list, not a {}", other.type_name());
                return Err(bound.problem(text));
            }
        });
        if examples.last().is_some_and(|example| example.words.is_empty()) {
            return Err(bound.problem(format!("an example in `{name}` is empty")));
        }
    }
    Ok(examples)
}

fn host_executable(
    heap: &mut Heap<'_>,
    given: Arguments,
    origin: Origin,
    home: Option<&str>,
) -> Result<HostExecutable, Fault> {
    let mut bound = Bound::new(HOST_EXECUTABLE, &["name", "paths"], given)?;
    let name = bound.required("name")?;
    let name = bound.string("name", &name)?;
    if name.is_empty() || name.contains(['/', '\\']) || name == "." || name == ".." {
        return Err(bound.problem(format!("`name` is a bare base name like `git`, not `{}`", escape(&name))));
    }
    let value = bound.required("paths")?;
    let (mut paths, mut written) = (Vec::new(), Vec::new());
    for path in bound.list(heap, "paths", &value)? {
        let path = bound.string("paths", &path)?;
        let absolute = match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            _ => path.clone(),
        };
        let Some(normal) = program::normal(&absolute) else {
            return Err(bound.problem(format!("`{}` in `paths` is neither absolute nor in `~/`", escape(&path))));
        };
        if program::name(&normal) != Some(name.as_str()) {
            let text = format!("`{}` in `paths` doesn't end in `{}`", escape(&path), escape(&name));
            return Err(bound.problem(text));
        }
        paths.push(normal);
        written.push(path);
    }
    Ok(HostExecutable { name, paths, written, origin })
}

fn network_rule(given: Arguments, origin: Origin) -> Result<NetworkRule, Fault> {
    let mut bound = Bound::new(NETWORK_RULE, &["host", "protocol", "decision", "justification"], given)?;
    let host = bound.required("host")?;
    let host = bound.string("host", &host)?;
    if host.trim().is_empty() || host.contains("://") || host.contains('/') || host.chars().any(char::is_whitespace) {
        let text = format!("`host` is a host name or pattern without scheme or path, not `{}`", escape(&host));
        return Err(bound.problem(text));
    }
    let protocol = bound.required("protocol")?;
    let protocol = bound.string("protocol", &protocol)?;
    let protocol = NetworkProtocol::from_name(&protocol).ok_or_else(|| {
        let known: Vec<&str> = NetworkProtocol::NAMES.iter().map(|(name, _)| *name).collect();
        bound.problem(format!("`protocol` is one of {}, not `{}`", listed(&known), escape(&protocol)))
    })?;
    let decision = bound.required("decision")?;
    let decision = bound.string("decision", &decision)?;
    let decision = NetworkDecision::from_name(&decision).ok_or_else(|| {
        bound.problem(format!("`decision` is `allow`, `prompt`, `deny` or `forbidden`, not `{}`", escape(&decision)))
    })?;
    if matches!(bound.values.last(), Some(Some(Value::None))) {
        bound.take("justification");
    }
    let justification = bound.justification()?;
    Ok(NetworkRule { host, protocol, decision, justification, origin })
}
