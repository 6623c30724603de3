"""Links between nodes that a test can cut, one way or both, and whose bytes it can keep.

Each node dials its peers through a small proxy of its own. A cut link does what a network that
drops packets does: nothing arrives, nothing is refused, and connections that outlive the cut go
on when it is mended."""

import socket
import threading


class Gate:
    """Bytes of one direction pass while it is open."""

    def __init__(self):
        self.open = threading.Event()
        self.open.set()


class Link:
    """What `dialler` sends to `target`'s address, and the way back."""

    def __init__(self, target_address, there, back):
        self.target_address = target_address
        self.there, self.back = there, back
        self.recorded = []  # of each connection, what the dialler sent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sockets = []
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(near)
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near):
        self.there.open.wait()  # a SYN that gets lost is sent again
        self.back.open.wait()
        if self.closed:
            return
        try:
            far = socket.create_connection(self.target_address, timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(far)
        sent = bytearray()
        self.recorded.append(sent)
        threading.Thread(target=self._pump, args=(far, near, self.back, None), daemon=True).start()
        self._pump(near, far, self.there, sent)

    def _pump(self, source, sink, gate, sent):
        try:
            while data := source.recv(65536):
                gate.open.wait()
                sink.sendall(data)
                if sent is not None and len(sent) < 1 << 20:
                    sent += data
        except OSError:
            pass
        gate.open.wait()  # a FIN doesn't pass a cut, either
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def end(self):
        self.closed = True
        # A thread in accept() holds the listener until it wakes up.
        for end in (self.listener, *self.sockets):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class Network:
    """All links of a group. Made between Group.make() and Group.start()."""

    def __init__(self, group):
        self.group = group
        self.gates = {}
        self.links = {}
        names = list(group.nodes)
        for a in names:
            for b in names:
                if a != b:
                    self.gates[a, b] = Gate()
        for a in names:
            peers = {a: f"127.0.0.1:{group.nodes[a].peer_port}"}
            for b in names:
                if a != b:
                    port = group.nodes[b].peer_port
                    link = Link(("127.0.0.1", port), self.gates[a, b], self.gates[b, a])
                    self.links[a, b] = link
                    peers[b] = link.address
            group.nodes[a].write_config(peers=peers)

    def cut(self, sender, receiver):
        """Nothing of the sender arrives any more; the other way stays."""
        self.gates[sender, receiver].open.clear()

    def isolate(self, *names):
        """These on one side, all others on the other."""
        for a, b in self.gates:
            if (a in names) != (b in names):
                self.cut(a, b)
        if len(names) * 2 < len(self.group.nodes):
            for name in names:
                self.group.nodes[name].cut_off = True

    def heal(self):
        for gate in self.gates.values():
            gate.open.set()
        for node in self.group.nodes.values():
            node.cut_off = False

    def end(self):
        for link in self.links.values():
            link.closed = True
        self.heal()
        for link in self.links.values():
            link.end()
