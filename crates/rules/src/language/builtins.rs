//! The functions of plain Starlark that rule files have.

use super::eval::{Arguments, Interpreter};
use super::value::{Value, type_fault};
use super::{Fault, statements};
use starlark_syntax::codemap::Span;
use std::cmp::Ordering;

const NAMES: &[&str] = &[
    "abs",
    "all",
    "any",
    "bool",
    "dict",
    "enumerate",
    "fail",
    "int",
    "len",
    "list",
    "max",
    "min",
    "range",
    "repr",
    "reversed",
    "sorted",
    "str",
    "tuple",
    "type",
    "zip",
];

/// The value a name has when the file doesn't define it.
pub(super) fn named(name: &str) -> Option<Value> {
    match name {
        "None" => Some(Value::None),
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        _ => NAMES.iter().chain(statements::NAMES).find(|known| **known == name).map(|known| Value::Builtin(known)),
    }
}

impl Interpreter<'_, '_> {
    pub(super) fn builtin(&mut self, name: &'static str, given: Arguments, span: Span) -> Result<Value, Fault> {
        if statements::NAMES.contains(&name) {
            let (line, _) = super::position(self.codemap, span);
            return self.sink.statement(&mut self.heap, name, given, line);
        }
        let Arguments { positional, named } = given;
        if name == "dict" {
            return self.dict(positional, named);
        }
        let (mut reverse, mut key, mut start) = (false, None, 0);
        for (parameter, value) in named {
            match (name, parameter.as_str(), value) {
                ("sorted", "reverse", value) => reverse = self.heap.truthy(&value),
                ("sorted" | "max" | "min", "key", value) => key = Some(value),
                ("enumerate", "start", Value::Int(number)) => start = number,
                _ => return type_fault(format!("`{name}` has no such argument `{parameter}`")),
            }
        }
        match (name, positional.as_slice()) {
            ("len", [of]) => self.len(of),
            ("str", [of]) => self.heap.text(of).map(Value::Str),
            ("repr", [of]) => {
                let mut out = String::new();
                self.heap.repr(of, &mut out, 0)?;
                self.heap.string(out)
            }
            ("type", [of]) => Ok(Value::str(of.type_name())),
            ("bool", []) => Ok(Value::Bool(false)),
            ("bool", [of]) => Ok(Value::Bool(self.heap.truthy(of))),
            ("int", [of]) => int(of),
            ("abs", [Value::Int(number)]) => Ok(Value::Int(number.saturating_abs())),
            ("range", [Value::Int(stop)]) => Ok(Value::Range(0, *stop, 1)),
            ("range", [Value::Int(start), Value::Int(stop)]) => Ok(Value::Range(*start, *stop, 1)),
            ("range", [Value::Int(start), Value::Int(stop), Value::Int(step)]) if *step != 0 => {
                Ok(Value::Range(*start, *stop, *step))
            }
            ("list", []) => self.heap.list(Vec::new()),
            ("list", [of]) => {
                let items = self.heap.iterate(of)?;
                self.heap.list(items)
            }
            ("tuple", []) => self.heap.tuple(Vec::new()),
            ("tuple", [of]) => {
                let items = self.heap.iterate(of)?;
                self.heap.tuple(items)
            }
            ("reversed", [of]) => {
                let mut items = self.heap.iterate(of)?;
                items.reverse();
                self.heap.list(items)
            }
            ("sorted", [of]) => {
                let items = self.heap.iterate(of)?;
                let sorted = self.sorted(items, key.as_ref(), reverse, span)?;
                self.heap.list(sorted)
            }
            ("max" | "min", [of]) => {
                let items = self.heap.iterate(of)?;
                self.extreme(name, items, key.as_ref(), span)
            }
            ("max" | "min", items) if items.len() > 1 => self.extreme(name, items.to_vec(), key.as_ref(), span),
            ("any" | "all", [of]) => {
                let items = self.heap.iterate(of)?;
                let any = name == "any";
                Ok(Value::Bool(items.iter().any(|one| self.heap.truthy(one) == any) == any))
            }
            ("enumerate", [of]) => self.enumerate(of, start),
            ("enumerate", [of, Value::Int(start)]) => self.enumerate(of, *start),
            ("zip", all) => self.zip(all),
            ("fail", all) => {
                let mut text = String::new();
                for one in all {
                    text.push_str(&self.heap.text(one)?);
                    text.push(' ');
                }
                type_fault(format!("the file fails on purpose: {}", ringfence_model::text::escape(text.trim_end())))
            }
            (_, given) => {
                let types: Vec<&str> = given.iter().map(Value::type_name).collect();
                type_fault(format!("`{name}` can't be called with ({})", types.join(", ")))
            }
        }
    }

    fn len(&mut self, of: &Value) -> Result<Value, Fault> {
        let count = match of {
            Value::Str(text) => {
                self.heap.meter.step(1 + text.len() / 64)?;
                text.chars().count()
            }
            Value::List(at) | Value::Tuple(at) => self.heap.items(*at).len(),
            Value::Dict(at) => self.heap.pairs(*at).len(),
            Value::Range(start, stop, step) => super::value::range_len(*start, *stop, *step),
            other => return type_fault(format!("a {} has no length", other.type_name())),
        };
        Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    fn dict(&mut self, positional: Vec<Value>, named: Vec<(String, Value)>) -> Result<Value, Fault> {
        let Value::Dict(made) = self.heap.dict(Vec::new())? else { return Ok(Value::None) };
        match positional.as_slice() {
            [] => {}
            [Value::Dict(from)] => {
                for (key, value) in self.heap.pairs(*from).to_vec() {
                    self.heap.dict_set(made, key, value)?;
                }
            }
            [pairs] => {
                for pair in self.heap.iterate(pairs)? {
                    let [key, value] = <[Value; 2]>::try_from(self.heap.iterate(&pair)?)
                        .or_else(|_| type_fault("`dict` needs pairs"))?;
                    self.heap.dict_set(made, key, value)?;
                }
            }
            _ => return type_fault("`dict` takes one value"),
        }
        for (key, value) in named {
            self.heap.dict_set(made, Value::str(&key), value)?;
        }
        Ok(Value::Dict(made))
    }

    fn keyed(&mut self, items: Vec<Value>, key: Option<&Value>, span: Span) -> Result<Vec<(Value, Value)>, Fault> {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            let by = match key {
                None => item.clone(),
                Some(key) => {
                    let given = Arguments { positional: vec![item.clone()], named: Vec::new() };
                    self.call(key, given, span)?
                }
            };
            keyed.push((by, item));
        }
        Ok(keyed)
    }

    fn sorted(
        &mut self,
        items: Vec<Value>,
        key: Option<&Value>,
        reverse: bool,
        span: Span,
    ) -> Result<Vec<Value>, Fault> {
        let mut keyed = self.keyed(items, key, span)?;
        let mut problem = None;
        keyed.sort_by(|(one, _), (other, _)| {
            if problem.is_some() {
                return Ordering::Equal;
            }
            match self.heap.compare(one, other, 0) {
                Ok(order) if reverse => order.reverse(),
                Ok(order) => order,
                Err(fault) => {
                    problem = Some(fault);
                    Ordering::Equal
                }
            }
        });
        match problem {
            Some(fault) => Err(fault),
            None => Ok(keyed.into_iter().map(|(_, item)| item).collect()),
        }
    }

    fn extreme(&mut self, name: &str, items: Vec<Value>, key: Option<&Value>, span: Span) -> Result<Value, Fault> {
        let wanted = if name == "max" { Ordering::Greater } else { Ordering::Less };
        let mut best: Option<(Value, Value)> = None;
        for (by, item) in self.keyed(items, key, span)? {
            let better = match &best {
                None => true,
                Some((held, _)) => self.heap.compare(&by, held, 0)? == wanted,
            };
            if better {
                best = Some((by, item));
            }
        }
        best.map_or_else(|| type_fault(format!("`{name}` of nothing")), |(_, item)| Ok(item))
    }

    fn enumerate(&mut self, of: &Value, start: i64) -> Result<Value, Fault> {
        let mut made = Vec::new();
        for (index, item) in self.heap.iterate(of)?.into_iter().enumerate() {
            let number = start.saturating_add(i64::try_from(index).unwrap_or(i64::MAX));
            made.push(self.heap.tuple(vec![Value::Int(number), item])?);
        }
        self.heap.list(made)
    }

    fn zip(&mut self, all: &[Value]) -> Result<Value, Fault> {
        let mut columns = Vec::new();
        for one in all {
            columns.push(self.heap.iterate(one)?);
        }
        let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
        let mut made = Vec::new();
        for row in 0..rows {
            let items = columns.iter().filter_map(|column| column.get(row).cloned()).collect();
            made.push(self.heap.tuple(items)?);
        }
        self.heap.list(made)
    }
}

fn int(of: &Value) -> Result<Value, Fault> {
    match of {
        Value::Int(number) => Ok(Value::Int(*number)),
        Value::Bool(yes) => Ok(Value::Int(i64::from(*yes))),
        Value::Str(text) => match text.parse() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => type_fault(format!("{text:?} isn't a number")),
        },
        other => type_fault(format!("a {} isn't a number", other.type_name())),
    }
}
