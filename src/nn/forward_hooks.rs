//! Forward hooks: closures that see what goes in and out of a module.

use crate::tensor::Tensor;

type ForwardHook = Box<dyn Fn(&Tensor, &Tensor) + Send + Sync>;

/// Identifies a forward hook, so that it can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookHandle(u64);

/// The forward hooks of one module, called in the order in which they were added.
#[derive(Default)]
pub(crate) struct ForwardHooks {
    added: u64,
    hooks: Vec<(HookHandle, ForwardHook)>,
}

impl ForwardHooks {
    pub(crate) fn add(&mut self, hook: impl Fn(&Tensor, &Tensor) + Send + Sync + 'static) -> HookHandle {
        let handle = HookHandle(self.added);
        self.added += 1;
        self.hooks.push((handle, Box::new(hook)));
        handle
    }

    pub(crate) fn remove(&mut self, handle: HookHandle) -> bool {
        let before = self.hooks.len();
        self.hooks.retain(|(each, _)| *each != handle);
        self.hooks.len() < before
    }

    pub(crate) fn call(&self, input: &Tensor, output: &Tensor) {
        self.hooks.iter().for_each(|(_, hook)| hook(input, output));
    }
}
