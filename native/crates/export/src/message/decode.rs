//! Bytes to messages: a message exists only if all of its bytes were checked.

use super::{
    Ack, Auth, AuthOk, Data, ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Guarantee,
    Heartbeat, Hello, MIN_DATA_PAYLOAD, Message, MessageError, Refused, Sentence, Start, SubOk,
    Subscribe, kind,
};
use crate::auth::ClientId;
use crate::authenticator::Method;
use crate::frame::Frame;

impl<'a> Message<'a> {
    /// Reads the message of a frame.
    ///
    /// # Errors
    ///
    /// [`MessageError`] when the payload is not exactly what its type prescribes.
    pub fn parse(frame: &Frame<'a>) -> Result<Self, MessageError> {
        let mut fields = Fields {
            kind: frame.kind,
            len: frame.payload.len(),
            rest: frame.payload,
        };
        let seq = frame.seq;
        let message = match frame.kind {
            kind::HELLO => Self::Hello(hello(&mut fields, seq)?),
            kind::AUTH => Self::Auth(auth(&mut fields, seq)?),
            kind::AUTH_OK => Self::AuthOk(auth_ok(&mut fields, seq)?),
            kind::SUBSCRIBE => Self::Subscribe(subscribe(&mut fields, seq)?),
            kind::SUB_OK => Self::SubOk(sub_ok(&mut fields, seq)?),
            kind::ERR => Self::Err(refused(&mut fields, seq)?),
            kind::DATA => Self::Data(data(&mut fields, seq)?),
            kind::HEARTBEAT => Self::Heartbeat(heartbeat(&mut fields, seq)?),
            kind::GAP => Self::Gap(gap(&mut fields, seq)?),
            kind::ACK => Self::Ack(Ack { seq }),
            kind::GOODBYE => Self::Goodbye(goodbye(&mut fields, seq)?),
            unknown => return Err(MessageError::UnknownType(unknown)),
        };
        fields.end()?;
        Ok(message)
    }
}

fn hello(fields: &mut Fields<'_>, seq: u64) -> Result<Hello, MessageError> {
    fields.no_seq(seq)?;
    let (oldest_version, newest_version) = (fields.u16()?, fields.u16()?);
    if oldest_version == 0 || oldest_version > newest_version {
        return Err(fields.bad("versions"));
    }
    let method = Method::from_code(fields.u8()?).ok_or(fields.bad("method"))?;
    fields.zero::<3>()?;
    Ok(Hello {
        oldest_version,
        newest_version,
        method,
        epoch: fields.u64()?,
        log_id: fields.array()?,
        nonce: fields.array()?,
        server: fields.name()?.ok_or(fields.bad("server name"))?,
    })
}

fn auth(fields: &mut Fields<'_>, seq: u64) -> Result<Auth, MessageError> {
    fields.no_seq(seq)?;
    let version = fields.u16()?;
    fields.zero::<2>()?;
    Ok(Auth {
        version,
        nonce: fields.array()?,
        client: fields.name()?,
        mac: fields.array()?,
    })
}

fn auth_ok(fields: &mut Fields<'_>, seq: u64) -> Result<AuthOk, MessageError> {
    fields.no_seq(seq)?;
    Ok(AuthOk {
        session: fields.u64()?,
        identity: fields.name()?,
        mac: fields.array()?,
    })
}

fn subscribe(fields: &mut Fields<'_>, seq: u64) -> Result<Subscribe, MessageError> {
    let start = match (fields.u8()?, seq) {
        (1, 1..) => Start::Seq(seq),
        (2, 0) => Start::Earliest,
        (3, 0) => Start::Live,
        _ => return Err(fields.bad("start")),
    };
    let guarantee = Guarantee::from_code(fields.u8()?).ok_or(fields.bad("guarantee"))?;
    fields.zero::<2>()?;
    Ok(Subscribe {
        start,
        guarantee,
        window_bytes: fields.u32()?,
        epoch: fields.u64()?,
        log_id: fields.array()?,
    })
}

fn sub_ok(fields: &mut Fields<'_>, seq: u64) -> Result<SubOk, MessageError> {
    Ok(SubOk {
        start_seq: fields.positive(seq)?,
        epoch: fields.u64()?,
        first_available: fields.u64()?,
        next_seq: fields.u64()?,
        durable_seq: fields.u64()?,
        window_bytes: fields.u32()?,
        schema_id: fields.u32()?,
        heartbeat_ms: fields.u32()?,
        timeout_ms: fields.u32()?,
    })
}

fn refused(fields: &mut Fields<'_>, seq: u64) -> Result<Refused, MessageError> {
    let code = ErrorCode::from_code(fields.u16()?).ok_or(fields.bad("code"))?;
    fields.zero::<2>()?;
    let text = fields.sentence()?;
    Ok(Refused { code, seq, text })
}

fn data<'a>(fields: &mut Fields<'a>, seq: u64) -> Result<Data<'a>, MessageError> {
    if fields.len < MIN_DATA_PAYLOAD {
        return Err(fields.wrong_length());
    }
    Ok(Data {
        base_seq: fields.positive(seq)?,
        block: std::mem::take(&mut fields.rest),
    })
}

fn heartbeat(fields: &mut Fields<'_>, seq: u64) -> Result<Heartbeat, MessageError> {
    Ok(Heartbeat {
        next_seq: fields.positive(seq)?,
        written: fields.u64()?,
        durable: fields.u64()?,
        utc_ns: fields.u64()?,
        epoch: fields.u64()?,
    })
}

fn gap(fields: &mut Fields<'_>, seq: u64) -> Result<Gap, MessageError> {
    let (from, to) = (fields.positive(seq)?, fields.u64()?);
    if to < from || to == u64::MAX {
        return Err(fields.bad("range"));
    }
    let reason = GapReason::from_code(fields.u8()?).ok_or(fields.bad("reason"))?;
    fields.zero::<7>()?;
    Ok(Gap { from, to, reason })
}

fn goodbye(fields: &mut Fields<'_>, seq: u64) -> Result<Goodbye, MessageError> {
    let reason = GoodbyeReason::from_code(fields.u16()?).ok_or(fields.bad("reason"))?;
    fields.zero::<2>()?;
    Ok(Goodbye {
        next_seq: seq,
        reason,
        text: fields.sentence()?,
    })
}

/// Takes fields off the front of a payload.
struct Fields<'a> {
    kind: u8,
    /// Length of the whole payload.
    len: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], MessageError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(self.wrong_length())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u8(&mut self) -> Result<u8, MessageError> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_le_bytes)
    }

    fn zero<const N: usize>(&mut self) -> Result<(), MessageError> {
        if self.array::<N>()? == [0; N] {
            Ok(())
        } else {
            Err(self.bad("reserved bytes"))
        }
    }

    fn string(&mut self) -> Result<&'a [u8], MessageError> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    fn name(&mut self) -> Result<Option<ClientId>, MessageError> {
        let bytes = self.string()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| self.bad("name"))?;
        text.parse().map(Some).map_err(|_| self.bad("name"))
    }

    fn sentence(&mut self) -> Result<Sentence, MessageError> {
        let bytes = self.string()?;
        Sentence::parse(bytes).ok_or(self.bad("text"))
    }

    fn no_seq(&self, seq: u64) -> Result<(), MessageError> {
        if seq == 0 {
            Ok(())
        } else {
            Err(self.bad("seq"))
        }
    }

    fn positive(&self, seq: u64) -> Result<u64, MessageError> {
        if seq > 0 {
            Ok(seq)
        } else {
            Err(self.bad("seq"))
        }
    }

    fn end(&self) -> Result<(), MessageError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.wrong_length())
        }
    }

    fn wrong_length(&self) -> MessageError {
        let (kind, len) = (self.kind, self.len);
        MessageError::WrongLength { kind, len }
    }

    fn bad(&self, field: &'static str) -> MessageError {
        let kind = self.kind;
        MessageError::BadField { kind, field }
    }
}
