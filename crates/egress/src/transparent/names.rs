//! Names as addresses: each name that is asked for gets an address of its own, of either kind, for as long as the session
//! lasts, so that a connection to the address says which name was meant. Nothing is looked up: that a name was asked for
//! reaches nobody.

use crate::host::Host;
use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{DNSClass, RData, Record, RecordType};
use ringfence_model::transparent::{NAMES_V4, NAMES_V6};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names of one session. An address is never given to a second name; when all are used up, further names are refused.
const MAX_NAMES: usize = 65_536;
/// How long an answer may be kept: it never changes.
const LIFETIME: u32 = 600;

/// The names that were asked for.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    /// Whether names have IPv6 addresses: not where the network has none.
    with_v6: bool,
}

impl Names {
    pub(super) fn new(with_v6: bool) -> Self {
        Self { with_v6, ..Self::default() }
    }

    /// The addresses that stand for a name.
    fn addresses(&mut self, name: &str) -> Option<(Ipv4Addr, Ipv6Addr)> {
        let [first, end] = NAMES_V4;
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None if self.names.len() >= MAX_NAMES => return None,
            None => {
                let number = u32::try_from(self.names.len()).ok()?;
                self.names.push(name.into());
                self.numbers.insert(name.into(), number);
                number
            }
        };
        let v4 = Ipv4Addr::from_bits(first.checked_add(number).filter(|bits| *bits < end)?);
        Some((v4, Ipv6Addr::from_bits(NAMES_V6.to_bits() | u128::from(number))))
    }

    /// The host that a connection to this address means.
    pub(super) fn host(&self, address: IpAddr) -> Host {
        let address = address.to_canonical();
        let [first, _] = NAMES_V4;
        let number = match address {
            IpAddr::V4(v4) => v4.to_bits().checked_sub(first).map(u128::from),
            IpAddr::V6(v6) => v6.to_bits().checked_sub(NAMES_V6.to_bits()).filter(|_| self.with_v6),
        };
        let name = number.and_then(|number| self.names.get(usize::try_from(number).ok()?));
        name.map_or(Host::Address(address), |name| Host::Name(name.clone()))
    }

    /// Answers a query. None: it is none.
    pub(super) fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.queries.clone_from(&query.queries);
        if query.edns.is_some() {
            answer.set_edns(Edns::new());
        }
        let code = match (query.metadata.op_code, query.queries.as_slice()) {
            (OpCode::Query, [question]) if question.query_class() == DNSClass::IN => {
                let found = self.records(&question.name().to_ascii(), question.query_type());
                found.map(|data| {
                    let record = |data| Record::from_rdata(question.name().clone(), LIFETIME, data);
                    answer.add_answers(data.into_iter().map(record));
                })
            }
            (OpCode::Query, _) => Err(ResponseCode::FormErr),
            _ => Err(ResponseCode::NotImp),
        };
        answer.metadata.response_code = code.err().unwrap_or(ResponseCode::NoError);
        answer.to_vec().ok()
    }

    /// Addresses of a name. It has no other records.
    fn records(&mut self, name: &str, kind: RecordType) -> Result<Option<RData>, ResponseCode> {
        let host = match Host::parse(name.strip_suffix('.').unwrap_or(name).as_bytes()) {
            Ok(host @ Host::Name(_)) => host,
            // What no gate would let through doesn't exist.
            Ok(Host::Address(_)) | Err(_) => return Err(ResponseCode::NXDomain),
        };
        // Reverse lookups name no destination.
        let name = host.name().unwrap_or_default();
        if name.ends_with(".arpa") {
            return Err(ResponseCode::NXDomain);
        }
        match kind {
            RecordType::A if host.is_localhost() => Ok(Some(RData::A(A(Ipv4Addr::LOCALHOST)))),
            RecordType::AAAA if host.is_localhost() => Ok(Some(RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)))),
            RecordType::A | RecordType::AAAA => {
                let (v4, v6) = self.addresses(name).ok_or(ResponseCode::ServFail)?;
                Ok(match kind {
                    RecordType::A => Some(RData::A(A(v4))),
                    _ => self.with_v6.then_some(RData::AAAA(AAAA(v6))),
                })
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::Name;

    fn ask(names: &mut Names, name: &str, kind: RecordType) -> (ResponseCode, Vec<IpAddr>) {
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let id = query.metadata.id;
        let answer = Message::from_vec(&names.answer(&query.to_vec().unwrap()).unwrap()).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.message_type), (id, MessageType::Response));
        let addresses = answer.answers.iter().map(|record| match record.data {
            RData::A(A(v4)) => IpAddr::V4(v4),
            RData::AAAA(AAAA(v6)) => IpAddr::V6(v6),
            ref other => panic!("{other:?}"),
        });
        (answer.metadata.response_code, addresses.collect())
    }

    #[test]
    fn a_name_has_one_address_whatever_its_spelling_and_the_address_means_the_name() {
        let mut names = Names::new(true);
        let (code, found) = ask(&mut names, "Example.COM.", RecordType::A);
        assert_eq!((code, found.len()), (ResponseCode::NoError, 1));
        assert_eq!(ask(&mut names, "example.com.", RecordType::A).1, found);
        assert_ne!(ask(&mut names, "other.com.", RecordType::A).1, found);
        assert_eq!(names.host(found[0]), Host::Name("example.com".into()));
        let sixth = ask(&mut names, "EXAMPLE.com.", RecordType::AAAA).1;
        assert!(matches!(sixth[..], [IpAddr::V6(_)]), "{sixth:?}");
        assert_eq!(names.host(sixth[0]), Host::Name("example.com".into()));
        // Nothing else is any name's.
        let literal: IpAddr = "93.184.216.34".parse().unwrap();
        assert_eq!(names.host(literal), Host::Address(literal));
        for unused in ["198.18.200.1", "fd72:696e:6766:1::ffff", "fd72:696e:6766:1:1::", "fd72:696e:6766::1", "::1"] {
            let unused: IpAddr = unused.parse().unwrap();
            assert_eq!(names.host(unused), Host::Address(unused));
        }
        assert_eq!(names.host("::ffff:93.184.216.34".parse().unwrap()), Host::Address(literal));
    }

    #[test]
    fn other_records_are_empty_and_names_that_are_none_do_not_exist() {
        let mut names = Names::default();
        // A network without IPv6 has no names in it.
        for kind in [RecordType::AAAA, RecordType::MX, RecordType::HTTPS, RecordType::TXT] {
            assert_eq!(ask(&mut names, "example.com.", kind), (ResponseCode::NoError, Vec::new()));
        }
        for bad in ["127.1.", "xn--a.example.", "34.216.184.93.in-addr.arpa.", "."] {
            assert_eq!(ask(&mut names, bad, RecordType::A).0, ResponseCode::NXDomain, "{bad}");
        }
        assert_eq!(ask(&mut names, "localhost.", RecordType::A).1, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(ask(&mut names, "x.localhost.", RecordType::AAAA).1, ["::1".parse::<IpAddr>().unwrap()]);
        assert!(names.names.len() < 2);
    }

    #[test]
    fn what_is_no_query_gets_no_answer_and_names_are_bounded() {
        let mut names = Names::default();
        for bytes in [&b""[..], b"hello", &[0xff; 64]] {
            let _ = names.answer(bytes);
        }
        let response = Message::response(7, OpCode::Query).to_vec().unwrap();
        assert_eq!(names.answer(&response), None);
        for index in 0..MAX_NAMES {
            names.addresses(&format!("n{index}.test")).unwrap();
        }
        assert_eq!(ask(&mut names, "one-more.test.", RecordType::A).0, ResponseCode::ServFail);
        assert_eq!(ask(&mut names, "n7.test.", RecordType::A).0, ResponseCode::NoError);
    }
}
