//! The graph: what a value was computed from, and how gradients flow back through that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::grad_mode::is_grad_enabled;
use super::id::ParamId;
use super::kernel::{Shared, contiguous};
use super::slot::Slot;
use crate::mask::Mask;

/// An immutable `f32` array of any shape, and how it was computed.
///
/// A clone is the same tensor, and costs nothing. Dropping the last clone also drops what it was computed from,
/// unless that is used elsewhere.
///
/// PyTorch: `torch.Tensor`, without in-place operations.
#[derive(Clone)]
pub struct Tensor(pub(super) Arc<Node>);

/// One value and where it came from.
pub(super) struct Node {
    /// Greater than the id of everything this was computed from, so that descending ids are an order for the backward
    /// pass.
    pub id: u64,
    pub value: Shared,
    pub origin: Origin,
}

pub(super) enum Origin {
    /// Nothing flows further back than this.
    Constant,
    /// Gradients that arrive here are what `backward` returns.
    Leaf { id: ParamId, mask: Option<Arc<Mask>> },
    /// Computed. Only operands that want a gradient have an edge; there is at least one.
    Derived(Vec<Edge>),
}

/// From the result of an operation back to one of its operands.
pub(super) struct Edge {
    pub parent: Tensor,
    pub vjp: Vjp,
}

/// Takes the gradient of a result and adds what that gives to the gradient of one operand.
///
/// It captures arrays, never tensors: edges are then the only links of the graph, and unlinking them is enough to
/// drop it without recursion.
pub(super) type Vjp = Box<dyn Fn(Shared, &mut Slot) + Send + Sync>;

impl Node {
    pub fn new(value: Shared, origin: Origin) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Node {
            // An operand from another thread was complete before it arrived here, so its id was drawn before this
            // one.
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            value,
            origin,
        }
    }

    pub fn wants_gradient(&self) -> bool {
        !matches!(self.origin, Origin::Constant)
    }
}

impl Drop for Node {
    /// Unlinks ancestors one by one: a long chain that drops by recursion would overflow the stack.
    fn drop(&mut self) {
        let Origin::Derived(edges) = &mut self.origin else {
            return;
        };
        let mut loose = std::mem::take(edges);
        while let Some(edge) = loose.pop() {
            // `into_inner` gives the node to exactly one of several holders that drop it at once.
            if let Some(mut node) = Arc::into_inner(edge.parent.0)
                && let Origin::Derived(edges) = &mut node.origin
            {
                loose.append(edges);
            }
        }
    }
}

impl Tensor {
    /// A leaf: a value that was not computed.
    pub(super) fn leaf(value: Shared, origin: Origin) -> Self {
        Tensor(Arc::new(Node::new(contiguous(value), origin)))
    }

    /// An edge back to this operand, if it needs a gradient.
    ///
    /// `capture` makes the closure. It is called only if there is an edge, so that nothing else is kept alive.
    pub(super) fn edge<V>(&self, capture: impl FnOnce() -> V) -> Option<Edge>
    where
        V: Fn(Shared, &mut Slot) + Send + Sync + 'static,
    {
        (self.0.wants_gradient() && is_grad_enabled()).then(|| Edge {
            parent: self.clone(),
            vjp: Box::new(capture()),
        })
    }

    /// The result of an operation.
    pub(super) fn derived(value: Shared, edges: impl IntoIterator<Item = Option<Edge>>) -> Tensor {
        let edges: Vec<Edge> = edges.into_iter().flatten().collect();
        let origin = if edges.is_empty() {
            Origin::Constant
        } else {
            Origin::Derived(edges)
        };
        Tensor(Arc::new(Node::new(value, origin)))
    }

    /// The value, to be kept by a closure or to be worked on.
    pub(super) fn shared(&self) -> Shared {
        self.0.value.clone()
    }
}
