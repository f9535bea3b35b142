//! Changes of definitions while a network is there: elements (`virNetworkUpdate`) and metadata.

use std::sync::Arc;

use conf::network::NetworkDef;
use error::Result;
use host::run_blocking;

use super::actor::State;
use super::{Affect, MetadataChange, files, invalid, metadata};
use crate::driver::Event;

impl State {
    /// Whom flags mean, as libvirt resolves them.
    fn affected(&self, flags: u32) -> Result<Affect> {
        resolve(flags, self.live.is_some(), self.persistent.is_some())
    }

    pub(super) async fn update(
        &mut self,
        command: u32,
        section: u32,
        parent: i32,
        xml: &str,
        flags: u32,
    ) -> Result<()> {
        let affect = self.affected(flags)?;
        let change = |def: &Arc<NetworkDef>| -> Result<NetworkDef> {
            let mut def = (**def).clone();
            def.update(command, section, parent, xml)?;
            def.validate(crate::port::is_virtual_function)?;
            Ok(def)
        };
        // both are made before either is kept
        let config = match (&self.persistent, affect.config) {
            (Some(def), true) => Some(change(def)?),
            _ => None,
        };
        let live = match (&self.live, affect.live) {
            (Some(def), true) => Some(change(def)?),
            _ => None,
        };
        self.keep(config, live).await
    }

    /// Keeps changed definitions and lets the running network follow.
    async fn keep(&mut self, config: Option<NetworkDef>, live: Option<NetworkDef>) -> Result<()> {
        if let Some(def) = config {
            let (folders, text) = (self.shared.folders.clone(), def.clone());
            run_blocking(move || files::write_definition(&folders, &text)).await?;
            self.persistent = Some(Arc::new(def));
        }
        if let Some(def) = live {
            let old = self.live.replace(Arc::new(def.clone()));
            if let Some(old) = old {
                self.follow(&old, &def).await?;
            }
            self.save_status(&def, false).await?;
        }
        self.publish();
        Ok(())
    }

    pub(super) async fn set_metadata(&mut self, change: MetadataChange) -> Result<()> {
        let flags = u32::from(change.affect.live) | u32::from(change.affect.config) << 1;
        let affect = self.affected(flags)?;
        let apply = |def: &Arc<NetworkDef>| metadata::set(def, &change);
        let config = if affect.config { self.persistent.as_ref().map(apply).transpose()? } else { None };
        let live = if affect.live { self.live.as_ref().map(apply).transpose()? } else { None };
        if let Some(def) = config {
            let (folders, text) = (self.shared.folders.clone(), def.clone());
            run_blocking(move || files::write_definition(&folders, &text)).await?;
            self.persistent = Some(Arc::new(def));
        }
        if let Some(def) = live {
            self.save_status(&def, false).await?;
            self.live = Some(Arc::new(def));
        }
        self.publish();
        self.emit(Event::Metadata { kind: change.kind, uri: change.uri });
        Ok(())
    }
}

/// Which definitions flags mean, as `virNetworkObjUpdateModificationImpact` has it.
pub(super) fn resolve(flags: u32, active: bool, persistent: bool) -> Result<Affect> {
    let (mut live, mut config) = (flags & 1 != 0, flags & 2 != 0);
    if !live && !config {
        (live, config) = (active, !active);
    }
    if live && !active {
        return Err(invalid("network is not running"));
    }
    if config && !persistent {
        return Err(invalid("cannot change persistent config of a transient network"));
    }
    Ok(Affect { live, config })
}
