# SPDX-License-Identifier: Apache-2.0
"""The memory of the machine: nodes, their CPUs and distances, as QEMU's arguments."""

from dataclasses import dataclass, replace

from ocihook.errors import InputError

MIB = 1 << 20
MOST_CPUS = 64
MAX_MEMORY = "8G"  #: most memory of a machine with slots, the modules included
MAPPED_GAPS = 1024  #: MiB that QEMU may leave between disks that are mapped
#: latency in ns and bandwidth as QEMU writes them into the HMAT: own node, other socket, far memory
NEAR, CROSS, FAR = (10, "10G"), (15, "8G"), (30, "4G")


@dataclass(frozen=True)
class Node:
    """One NUMA node: its size in MiB and the CPUs on it; without CPUs it is far memory."""

    size: int
    cpus: tuple[int, ...] = ()
    module: bool = False  #: in a memory slot, so that the whole node can go and come


@dataclass(frozen=True)
class Topology:
    """A machine's nodes. With *hmat* the firmware describes which are slower, and the kernel makes tiers."""

    name: str
    nodes: tuple[Node, ...]
    hmat: bool = False
    kernel: str = ""  #: more words for the kernel's command line

    def resized(self, sizes: list[int]) -> "Topology":
        """The same topology with other sizes of its nodes, in MiB."""
        if len(sizes) != len(self.nodes):
            raise InputError(
                f"{self.name} has {len(self.nodes)} memory nodes, not {len(sizes)}",
                "Give --memory one size a node, as in 768M,1536M",
            )
        nodes = tuple(replace(node, size=size) for size, node in zip(sizes, self.nodes, strict=True))
        return replace(self, nodes=nodes)

    def with_cpus(self, count: int) -> "Topology":
        """The same topology with *count* CPUs, evenly on the nodes that have CPUs."""
        sockets = [index for index, node in enumerate(self.nodes) if node.cpus]
        each, rest = divmod(count, len(sockets))
        if rest or not 0 < count <= MOST_CPUS:
            raise InputError(
                f"{self.name} cannot have {count} CPUs",
                f"Give --cpus a multiple of {len(sockets)}, {MOST_CPUS} at most",
            )
        nodes = list(self.nodes)
        for place, index in enumerate(sockets):
            nodes[index] = replace(nodes[index], cpus=tuple(range(place * each, (place + 1) * each)))
        return replace(self, nodes=tuple(nodes))

    def arguments(self, mapped: int = 0) -> list[str]:
        """QEMU's arguments for these nodes; *mapped*: MiB of disks in the physical addresses."""
        cpus = sum(len(node.cpus) for node in self.nodes)
        sockets = sum(bool(node.cpus) for node in self.nodes)
        args = ["-machine", "q35" + (",hmat=on" if self.hmat else "")]
        args += ["-smp", f"{cpus},sockets={sockets},cores={cpus // sockets},threads=1"]
        size = sum(node.size for node in self.nodes if not node.module)
        slots = sum(node.module for node in self.nodes)
        room = f",maxmem={size + mapped + MAPPED_GAPS}M" if mapped else ""
        args += ["-m", f"{size}M" + (f",slots={slots},maxmem={MAX_MEMORY}" if slots else room)]
        for i, node in enumerate(self.nodes):
            args += ["-object", f"memory-backend-ram,id=m{i},size={node.size}M"]
            numa = f"node,nodeid={i}" + ("" if node.module else f",memdev=m{i}")
            if node.cpus:
                numa += f",cpus={node.cpus[0]}-{node.cpus[-1]}"
            if self.hmat:
                numa += f",initiator={i if node.cpus else 0}"
            args += ["-numa", numa]
        for i, a in enumerate(self.nodes):
            for j, b in enumerate(self.nodes):
                if i < j:
                    args += ["-numa", f"dist,src={i},dst={j},val={20 if a.cpus and b.cpus else 30}"]
        for i, node in enumerate(self.nodes):
            if node.module:
                args += ["-device", f"pc-dimm,id=module{i},memdev=m{i},node={i}"]
        return args + (self._hmat() if self.hmat else [])

    def far(self) -> frozenset[int]:
        """The nodes that stand for far memory: those without CPUs; where all have some, all but the first."""
        nodes = range(len(self.nodes))
        without = frozenset(node for node in nodes if not self.nodes[node].cpus)
        return without or frozenset(nodes[1:])

    def physical(self) -> list[tuple[int, int, int]]:
        """(node, start, end) of the physical addresses; a node may have two ranges.

        Below 4 GiB a q35 machine has a hole for devices (QEMU, hw/i386/pc_q35.c).
        """
        if any(node.module for node in self.nodes):
            raise InputError(f"{self.name} plugs memory in, whose addresses are not known beforehand")
        size = sum(node.size for node in self.nodes) * MIB
        low = 0x80000000 if size >= 0xB0000000 else 0xB0000000
        found, start = [], 0
        for number, node in enumerate(self.nodes):
            end = start + node.size * MIB
            if start < low:
                found.append((number, start, min(end, low)))
            if end > low:
                above = (1 << 32) - low
                found.append((number, max(start, low) + above, end + above))
            start = end
        return found

    def _hmat(self) -> list[str]:
        args = []
        for i, initiator in enumerate(self.nodes):
            if not initiator.cpus:
                continue
            for j, target in enumerate(self.nodes):
                latency, bandwidth = NEAR if i == j else CROSS if target.cpus else FAR
                of = f"hmat-lb,initiator={i},target={j},hierarchy=memory,data-type=access"
                args += ["-numa", f"{of}-latency,latency={latency}"]
                args += ["-numa", f"{of}-bandwidth,bandwidth={bandwidth}"]
        return args


TOPOLOGIES = {
    t.name: t
    for t in (
        Topology("two-tier", (Node(1024, (0, 1)), Node(2048)), hmat=True),
        Topology("three-node", (Node(640, (0,)), Node(640, (1,)), Node(1024)), hmat=True),
        # Offline at boot: memory that is online before the kernel has read the HMAT would stay DRAM.
        Topology(
            "module", (Node(1024, (0, 1)), Node(1024, module=True)), True, "memhp_default_state=offline"
        ),
        Topology("two-socket", (Node(1024, (0,)), Node(2560, (1,)))),
        Topology("single", (Node(2304, (0, 1)),)),
    )
}
DEFAULT = "two-tier"


def find(name: str) -> Topology:
    """The topology called *name*."""
    if name not in TOPOLOGIES:
        raise InputError(f"no topology is called {name!r}", "The topologies are " + ", ".join(TOPOLOGIES))
    return TOPOLOGIES[name]
