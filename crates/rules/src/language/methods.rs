//! Methods of strings, lists and dictionaries.

use super::Fault;
use super::eval::{Arguments, Interpreter};
use super::value::{Heap, Value, type_fault};
use starlark_syntax::codemap::Span;
use std::rc::Rc;

impl Interpreter<'_, '_> {
    pub(super) fn method(&mut self, of: &Value, name: &str, given: Arguments, _span: Span) -> Result<Value, Fault> {
        let Arguments { positional, named } = given;
        if !named.is_empty() && !matches!((of, name), (Value::Str(_), "format") | (Value::Dict(_), "update")) {
            return type_fault(format!("`{}` takes no named arguments", ringfence_model::text::escape(name)));
        }
        match of {
            Value::Str(text) if name == "format" => self.heap.fill(text, &positional, &named),
            Value::Str(text) => self.string_method(text, name, &positional),
            Value::List(at) => self.list_method(*at, name, &positional),
            Value::Dict(at) => self.dict_method(*at, name, &positional, named),
            other => no_method(other, name),
        }
    }

    fn string_method(&mut self, text: &Rc<str>, name: &str, given: &[Value]) -> Result<Value, Fault> {
        // Each of these makes at most about as much as it reads, but for `replace` and `join`, which count for themselves.
        self.heap.meter.make(text.len() + 8)?;
        let made = |text: &str| Ok(Value::str(text));
        match (name, given) {
            ("upper", []) => made(&text.to_uppercase()),
            ("lower", []) => made(&text.to_lowercase()),
            ("capitalize", []) => {
                let mut chars = text.chars();
                let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
                made(&(first + &chars.as_str().to_lowercase()))
            }
            ("strip", []) => made(text.trim()),
            ("lstrip", []) => made(text.trim_start()),
            ("rstrip", []) => made(text.trim_end()),
            ("strip", [Value::Str(set)]) => made(text.trim_matches(|c| set.contains(c))),
            ("lstrip", [Value::Str(set)]) => made(text.trim_start_matches(|c| set.contains(c))),
            ("rstrip", [Value::Str(set)]) => made(text.trim_end_matches(|c| set.contains(c))),
            ("removeprefix", [Value::Str(part)]) => made(text.strip_prefix(&**part).unwrap_or(text)),
            ("removesuffix", [Value::Str(part)]) => made(text.strip_suffix(&**part).unwrap_or(text)),
            ("startswith", [Value::Str(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
            ("endswith", [Value::Str(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
            ("isdigit", []) => Ok(Value::Bool(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))),
            ("isalpha", []) => Ok(Value::Bool(!text.is_empty() && text.chars().all(char::is_alphabetic))),
            ("isalnum", []) => Ok(Value::Bool(!text.is_empty() && text.chars().all(char::is_alphanumeric))),
            ("count", [Value::Str(part)]) => Ok(count(text.matches(&**part).count())),
            ("find", [Value::Str(part)]) => Ok(place(text, text.find(&**part))),
            ("rfind", [Value::Str(part)]) => Ok(place(text, text.rfind(&**part))),
            ("elems", []) => self.strings(text.chars().map(String::from)),
            ("split", []) => self.strings(text.split_whitespace().map(str::to_owned)),
            ("split", [Value::Str(by)]) if !by.is_empty() => self.strings(text.split(&**by).map(str::to_owned)),
            ("split", [Value::Str(by), Value::Int(most)]) if !by.is_empty() => {
                let most = usize::try_from(*most).map_or(usize::MAX, |most| most.saturating_add(1));
                self.strings(text.splitn(most, &**by).map(str::to_owned))
            }
            ("rsplit", [Value::Str(by), Value::Int(most)]) if !by.is_empty() => {
                let most = usize::try_from(*most).map_or(usize::MAX, |most| most.saturating_add(1));
                let mut parts: Vec<String> = text.rsplitn(most, &**by).map(str::to_owned).collect();
                parts.reverse();
                self.strings(parts.into_iter())
            }
            ("splitlines", []) => self.strings(text.lines().map(str::to_owned)),
            ("partition", [Value::Str(by)]) if !by.is_empty() => {
                let (before, by, after) = text.split_once(&**by).map_or((&**text, "", ""), |(a, b)| (a, &**by, b));
                let parts = [before, by, after].map(Value::str).to_vec();
                self.heap.tuple(parts)
            }
            ("replace", [Value::Str(old), Value::Str(new)]) => {
                let count = text.matches(&**old).count();
                self.heap.meter.make(count.saturating_mul(new.len()))?;
                made(&text.replace(&**old, new))
            }
            ("join", [parts]) => {
                let mut out = String::new();
                for (index, part) in self.heap.iterate(parts)?.iter().enumerate() {
                    let Value::Str(part) = part else {
                        return type_fault(format!("`join` needs strings, not a {}", part.type_name()));
                    };
                    self.heap.meter.make(part.len() + text.len())?;
                    out.push_str(if index > 0 { text } else { "" });
                    out.push_str(part);
                }
                self.heap.string(out)
            }
            _ => no_method(&Value::Str(text.clone()), name),
        }
    }

    fn strings(&mut self, parts: impl Iterator<Item = String>) -> Result<Value, Fault> {
        let mut made = Vec::new();
        for part in parts {
            made.push(self.heap.string(part)?);
        }
        self.heap.list(made)
    }

    fn list_method(&mut self, at: usize, name: &str, given: &[Value]) -> Result<Value, Fault> {
        let len = self.heap.items(at).len();
        let grown = match (name, given) {
            ("append", [item]) => vec![item.clone()],
            ("extend", [more]) => self.heap.iterate(more)?,
            ("index", [item]) => {
                for index in 0..len {
                    let Some(one) = self.heap.items(at).get(index).cloned() else { break };
                    if self.heap.equal(&one, item, 0)? {
                        return Ok(count(index));
                    }
                }
                return type_fault("the list has no such item");
            }
            ("pop", []) => {
                let last = self.heap.lists.get_mut(at).and_then(Vec::pop);
                return last.map_or_else(|| type_fault("`pop` of an empty list"), Ok);
            }
            ("clear", []) => {
                if let Some(list) = self.heap.lists.get_mut(at) {
                    list.clear();
                }
                return Ok(Value::None);
            }
            ("insert", [Value::Int(place), item]) => {
                self.heap.meter.make(std::mem::size_of::<Value>())?;
                self.heap.meter.step(len)?;
                let place = if *place < 0 { place.saturating_add(len as i64).max(0) } else { *place };
                let place = usize::try_from(place).unwrap_or(len).min(len);
                if let Some(list) = self.heap.lists.get_mut(at) {
                    list.insert(place, item.clone());
                }
                return Ok(Value::None);
            }
            _ => return no_method(&Value::List(at), name),
        };
        self.heap.meter.make(std::mem::size_of::<Value>() * grown.len())?;
        if let Some(list) = self.heap.lists.get_mut(at) {
            list.extend(grown);
        }
        Ok(Value::None)
    }

    fn dict_method(
        &mut self,
        at: usize,
        name: &str,
        given: &[Value],
        named: Vec<(String, Value)>,
    ) -> Result<Value, Fault> {
        let pairs = |heap: &mut Heap<'_>| {
            let pairs = heap.pairs(at).to_vec();
            heap.meter.make(2 * std::mem::size_of::<Value>() * pairs.len()).map(|()| pairs)
        };
        match (name, given) {
            ("keys", []) => {
                let keys = pairs(&mut self.heap)?.into_iter().map(|(key, _)| key).collect();
                self.heap.list(keys)
            }
            ("values", []) => {
                let values = pairs(&mut self.heap)?.into_iter().map(|(_, value)| value).collect();
                self.heap.list(values)
            }
            ("items", []) => {
                let mut items = Vec::new();
                for (key, value) in pairs(&mut self.heap)? {
                    items.push(self.heap.tuple(vec![key, value])?);
                }
                self.heap.list(items)
            }
            ("get", [key]) => Ok(self.heap.dict_get(at, key)?.unwrap_or(Value::None)),
            ("get", [key, otherwise]) => Ok(self.heap.dict_get(at, key)?.unwrap_or_else(|| otherwise.clone())),
            ("setdefault", [key, otherwise]) => match self.heap.dict_get(at, key)? {
                Some(value) => Ok(value),
                None => {
                    self.heap.dict_set(at, key.clone(), otherwise.clone())?;
                    Ok(otherwise.clone())
                }
            },
            ("update", given) if given.len() <= 1 => {
                if let Some(more) = given.first() {
                    let Value::Dict(more) = more else { return type_fault("`update` needs a dictionary") };
                    for (key, value) in self.heap.pairs(*more).to_vec() {
                        self.heap.dict_set(at, key, value)?;
                    }
                }
                for (key, value) in named {
                    self.heap.dict_set(at, Value::str(&key), value)?;
                }
                Ok(Value::None)
            }
            _ => no_method(&Value::Dict(at), name),
        }
    }
}

fn no_method<T>(of: &Value, name: &str) -> Result<T, Fault> {
    let name = ringfence_model::text::escape(name);
    type_fault(format!("a {} has no method `{name}` with these arguments in rule files", of.type_name()))
}

fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn place(text: &str, byte: Option<usize>) -> Value {
    byte.and_then(|byte| text.get(..byte)).map_or(Value::Int(-1), |before| count(before.chars().count()))
}

impl Heap<'_> {
    /// `format`: `{}`, `{0}` and `{name}` filled in, `{{` and `}}` as braces.
    pub(super) fn fill(&mut self, format: &str, given: &[Value], named: &[(String, Value)]) -> Result<Value, Fault> {
        self.meter.make(format.len())?;
        let (mut out, mut rest, mut next) = (String::new(), format, 0);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                out.push_str(from.get(..1).unwrap_or(""));
                rest = after;
                continue;
            }
            let Some((field, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}')) else {
                return type_fault("a brace of the format has no partner");
            };
            let (field, quoted) = field.strip_suffix("!r").map_or((field, false), |field| (field, true));
            let field = field.strip_suffix("!s").unwrap_or(field);
            let value = if field.is_empty() {
                next += 1;
                given.get(next - 1)
            } else if let Ok(at) = field.parse::<usize>() {
                given.get(at)
            } else {
                named.iter().find(|(name, _)| name == field).map(|(_, value)| value)
            };
            let Some(value) = value else {
                return type_fault(format!("the format's `{}` has no value", ringfence_model::text::escape(field)));
            };
            if quoted {
                self.repr(value, &mut out, 0)?;
            } else {
                let text = self.text(value)?;
                self.meter.make(text.len())?;
                out.push_str(&text);
            }
            rest = after;
        }
        out.push_str(rest);
        self.string(out)
    }
}
