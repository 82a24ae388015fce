//! Operators, comparisons, indexing and slicing.

use super::Fault;
use super::value::{Heap, Value, range_len, type_fault};
use starlark_syntax::syntax::ast::BinOp;
use std::cmp::Ordering;

const OVERFLOW: &str = "a number that doesn't fit 64 bits";

impl Heap<'_> {
    pub(super) fn binary(&mut self, op: BinOp, left: &Value, right: &Value) -> Result<Value, Fault> {
        match op {
            BinOp::Equal => Ok(Value::Bool(self.equal(left, right, 0)?)),
            BinOp::NotEqual => Ok(Value::Bool(!self.equal(left, right, 0)?)),
            BinOp::Less => Ok(Value::Bool(self.compare(left, right, 0)? == Ordering::Less)),
            BinOp::Greater => Ok(Value::Bool(self.compare(left, right, 0)? == Ordering::Greater)),
            BinOp::LessOrEqual => Ok(Value::Bool(self.compare(left, right, 0)? != Ordering::Greater)),
            BinOp::GreaterOrEqual => Ok(Value::Bool(self.compare(left, right, 0)? != Ordering::Less)),
            BinOp::In => Ok(Value::Bool(self.contains(right, left)?)),
            BinOp::NotIn => Ok(Value::Bool(!self.contains(right, left)?)),
            BinOp::Add => self.add(left, right),
            BinOp::Multiply => self.multiply(left, right),
            BinOp::Percent => self.percent(left, right),
            BinOp::BitOr => match (left, right) {
                (Value::Dict(a), Value::Dict(b)) => {
                    let (first, second) = (self.pairs(*a).to_vec(), self.pairs(*b).to_vec());
                    let Value::Dict(made) = self.dict(first)? else { return Ok(Value::None) };
                    for (key, value) in second {
                        self.dict_set(made, key, value)?;
                    }
                    Ok(Value::Dict(made))
                }
                _ => integers(op, left, right),
            },
            _ => integers(op, left, right),
        }
    }

    fn add(&mut self, left: &Value, right: &Value) -> Result<Value, Fault> {
        match (left, right) {
            (Value::Str(a), Value::Str(b)) => {
                self.meter.make(a.len() + b.len())?;
                Ok(Value::str(&format!("{a}{b}")))
            }
            (Value::List(a), Value::List(b)) => {
                let joined = [self.items(*a), self.items(*b)];
                self.meter.make((joined[0].len() + joined[1].len()) * std::mem::size_of::<Value>())?;
                let joined = [self.items(*a), self.items(*b)].concat();
                self.list(joined)
            }
            (Value::Tuple(a), Value::Tuple(b)) => {
                self.meter.make((self.items(*a).len() + self.items(*b).len()) * std::mem::size_of::<Value>())?;
                let joined = [self.items(*a), self.items(*b)].concat();
                self.tuple(joined)
            }
            _ => integers(BinOp::Add, left, right),
        }
    }

    fn multiply(&mut self, left: &Value, right: &Value) -> Result<Value, Fault> {
        let (many, times) = match (left, right) {
            (Value::Int(times), many @ (Value::Str(_) | Value::List(_) | Value::Tuple(_)))
            | (many @ (Value::Str(_) | Value::List(_) | Value::Tuple(_)), Value::Int(times)) => (many, *times),
            _ => return integers(BinOp::Multiply, left, right),
        };
        let times = usize::try_from(times).unwrap_or(0);
        match many {
            Value::Str(text) => {
                self.meter.make(text.len().saturating_mul(times))?;
                Ok(Value::str(&text.repeat(times)))
            }
            Value::List(at) | Value::Tuple(at) => {
                let count = self.items(*at).len().saturating_mul(times);
                self.meter.make(count.saturating_mul(std::mem::size_of::<Value>()))?;
                let len = self.items(*at).len();
                let repeated = self.items(*at).iter().cycle().take(len.saturating_mul(times)).cloned().collect();
                if matches!(many, Value::List(_)) { self.list(repeated) } else { self.tuple(repeated) }
            }
            _ => Ok(Value::None),
        }
    }

    /// `%`: the remainder of numbers, or a string filled in.
    fn percent(&mut self, left: &Value, right: &Value) -> Result<Value, Fault> {
        let Value::Str(format) = left else { return integers(BinOp::Percent, left, right) };
        let given = match right {
            Value::Tuple(at) => self.items(*at).to_vec(),
            other => vec![other.clone()],
        };
        let mut given = given.into_iter();
        let mut out = String::new();
        let mut parts = format.split('%');
        out.push_str(parts.next().unwrap_or(""));
        self.meter.make(format.len())?;
        while let Some(part) = parts.next() {
            let mut rest = part.chars();
            match rest.next() {
                // `%%` splits into an empty part and the text after it.
                None => {
                    out.push('%');
                    out.push_str(parts.next().unwrap_or(""));
                    continue;
                }
                Some(how @ ('s' | 'r' | 'd')) => {
                    let Some(value) = given.next() else { return type_fault("`%` has too few values to fill in") };
                    if how == 'd' && !matches!(value, Value::Int(_)) {
                        return type_fault(format!("`%d` needs an int, not a {}", value.type_name()));
                    }
                    if how == 'r' {
                        self.repr(&value, &mut out, 0)?;
                    } else {
                        let text = self.text(&value)?;
                        self.meter.make(text.len())?;
                        out.push_str(&text);
                    }
                }
                Some(other) => return type_fault(format!("`%{}` isn't a format of rule files", other.escape_debug())),
            }
            out.push_str(rest.as_str());
        }
        if given.next().is_some() {
            return type_fault("`%` has more values than places to fill");
        }
        self.string(out)
    }

    pub(super) fn compare(&mut self, left: &Value, right: &Value, depth: usize) -> Result<Ordering, Fault> {
        self.meter.step(1)?;
        if depth > 32 {
            return type_fault("values are nested more than 32 deep");
        }
        match (left, right) {
            (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
            (Value::Float(a), Value::Float(b)) => Ok(a.total_cmp(b)),
            (Value::Int(a), Value::Float(b)) => Ok((*a as f64).total_cmp(b)),
            (Value::Float(a), Value::Int(b)) => Ok(a.total_cmp(&(*b as f64))),
            (Value::Str(a), Value::Str(b)) => Ok(a.cmp(b)),
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
                let mut index = 0;
                loop {
                    let pair = (self.items(*a).get(index).cloned(), self.items(*b).get(index).cloned());
                    let order = match pair {
                        (Some(a), Some(b)) => self.compare(&a, &b, depth + 1)?,
                        (None, None) => return Ok(Ordering::Equal),
                        (None, Some(_)) => Ordering::Less,
                        (Some(_), None) => Ordering::Greater,
                    };
                    if order != Ordering::Equal {
                        return Ok(order);
                    }
                    index += 1;
                }
            }
            _ => type_fault(format!("a {} and a {} can't be ordered", left.type_name(), right.type_name())),
        }
    }

    fn contains(&mut self, inside: &Value, item: &Value) -> Result<bool, Fault> {
        match (inside, item) {
            (Value::Str(text), Value::Str(part)) => {
                self.meter.step(1 + text.len() / 64)?;
                Ok(text.contains(&**part))
            }
            (Value::Dict(at), _) => Ok(self.dict_get(*at, item)?.is_some()),
            _ => {
                for one in self.iterate(inside)? {
                    if self.equal(&one, item, 0)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    pub(super) fn index(&mut self, of: &Value, at: &Value) -> Result<Value, Fault> {
        if let Value::Dict(dict) = of {
            return match self.dict_get(*dict, at)? {
                Some(value) => Ok(value),
                None => {
                    let mut key = String::new();
                    self.repr(at, &mut key, 0)?;
                    type_fault(format!("the dictionary has no key {key}"))
                }
            };
        }
        let Value::Int(at) = at else {
            return type_fault(format!("an index must be an int, not a {}", at.type_name()));
        };
        let found = match of {
            Value::List(list) | Value::Tuple(list) => {
                let items = self.items(*list);
                position(*at, items.len()).and_then(|index| items.get(index).cloned())
            }
            Value::Str(text) => {
                self.meter.step(1 + text.len() / 64)?;
                let count = text.chars().count();
                position(*at, count)
                    .and_then(|index| text.chars().nth(index))
                    .map(|c| Value::str(c.encode_utf8(&mut [0; 4])))
            }
            Value::Range(start, stop, step) => position(*at, range_len(*start, *stop, *step))
                .map(|index| Value::Int(start.saturating_add(step.saturating_mul(index as i64)))),
            other => return type_fault(format!("a {} has no items", other.type_name())),
        };
        found.map_or_else(|| type_fault(format!("there is no item {at}")), Ok)
    }

    pub(super) fn slice(&mut self, of: &Value, bounds: [Option<i64>; 3]) -> Result<Value, Fault> {
        match of {
            Value::Str(text) => {
                let chars: Vec<char> = text.chars().collect();
                self.meter.make(chars.len() * 4)?;
                let picked = picked(chars.len(), bounds)?;
                let text: String = picked.into_iter().filter_map(|index| chars.get(index)).collect();
                self.string(text)
            }
            Value::List(at) | Value::Tuple(at) => {
                self.meter.make(std::mem::size_of_val(self.items(*at)))?;
                let picked = picked(self.items(*at).len(), bounds)?;
                let items = picked.into_iter().filter_map(|index| self.items(*at).get(index).cloned()).collect();
                if matches!(of, Value::List(_)) { self.list(items) } else { self.tuple(items) }
            }
            other => type_fault(format!("a {} can't be sliced", other.type_name())),
        }
    }
}

/// The position an index means, counted from the end when negative.
pub(super) fn position(at: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    let at = if at < 0 { at.checked_add(len)? } else { at };
    usize::try_from(at).ok().filter(|index| (*index as i64) < len)
}

fn picked(len: usize, [start, stop, step]: [Option<i64>; 3]) -> Result<Vec<usize>, Fault> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let step = step.unwrap_or(1);
    if step == 0 {
        return type_fault("a slice's step can't be 0");
    }
    let place = |bound: Option<i64>, missing: i64, low: i64, high: i64| match bound {
        None => missing,
        Some(at) if at < 0 => at.saturating_add(len).clamp(low, high),
        Some(at) => at.clamp(low, high),
    };
    let (start, stop) = if step > 0 {
        (place(start, 0, 0, len), place(stop, len, 0, len))
    } else {
        (place(start, len - 1, -1, len - 1), place(stop, -1, -1, len - 1))
    };
    let mut picked = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        picked.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    Ok(picked)
}

fn integers(op: BinOp, left: &Value, right: &Value) -> Result<Value, Fault> {
    let (Value::Int(a), Value::Int(b)) = (left, right) else {
        let op = op.to_string();
        return type_fault(format!("`{}` doesn't fit a {} and a {}", op.trim(), left.type_name(), right.type_name()));
    };
    let floor = |a: i64, b: i64| -> Option<(i64, i64)> {
        let (quotient, remainder) = (a.checked_div(b)?, a.checked_rem(b)?);
        let adjust = remainder != 0 && (remainder < 0) != (b < 0);
        Some(if adjust { (quotient - 1, remainder + b) } else { (quotient, remainder) })
    };
    let shift = |by: i64| u32::try_from(by).ok().filter(|by| *by < 63);
    let result = match op {
        BinOp::Add => a.checked_add(*b),
        BinOp::Subtract => a.checked_sub(*b),
        BinOp::Multiply => a.checked_mul(*b),
        BinOp::FloorDivide => floor(*a, *b).map(|(quotient, _)| quotient),
        BinOp::Percent => floor(*a, *b).map(|(_, remainder)| remainder),
        BinOp::Divide if *b != 0 => return Ok(Value::Float(*a as f64 / *b as f64)),
        BinOp::BitAnd => Some(a & b),
        BinOp::BitOr => Some(a | b),
        BinOp::BitXor => Some(a ^ b),
        BinOp::LeftShift => shift(*b).and_then(|by| a.checked_mul(1i64 << by)),
        BinOp::RightShift => shift(*b).map(|by| a >> by),
        _ => None,
    };
    match result {
        Some(number) => Ok(Value::Int(number)),
        None if *b == 0 => type_fault("a division by zero"),
        None => type_fault(OVERFLOW),
    }
}
