//! Registry of objects by uuid and name, their files on disk, event registrations.
