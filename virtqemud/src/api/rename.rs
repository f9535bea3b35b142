//! A domain under another name.

use error::{Code, Domain as From, Error};
use protocol::remote;
use rpc::Call;

use super::{Api, bad_argument, check_flags, invalid};

pub(super) async fn rename(
    api: &Api,
    _: &Call,
    args: remote::DomainRenameArgs,
) -> error::Result<remote::DomainRenameRet> {
    check_flags("qemuDomainRename", args.flags, 0)?;
    let domain = api.find(&args.dom)?;
    let name = args.new_name.unwrap_or_default();
    if name.is_empty() {
        return Err(bad_argument("new name cannot be empty"));
    }
    if !object::file::is_file_name(&name) {
        return Err(Error::new(From::Domain, Code::XmlError, format!("name {name} cannot contain '/'")));
    }
    let view = domain.view();
    if view.is_active() {
        return Err(invalid("cannot rename active domain"));
    }
    if view.persistent.is_none() {
        return Err(invalid("cannot rename a transient domain"));
    }
    domain.ask(move |actor| Box::pin(actor.rename(name))).await?;
    Ok(remote::DomainRenameRet { retcode: 0 })
}
