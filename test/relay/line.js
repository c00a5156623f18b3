/**
 * The line between a branch and the server, for tests, demo and bench: a plain TCP relay on loopback that counts octets;
 * that cuts connections at an octet, in the head or in the middle of a body, on the way up or down; that can stall there,
 * and be shut for as long as a test likes. It outlives the server, which takes another port at every start.
 */
import { connect, createServer } from 'node:net';
/** What is cut: a message file on its way to the server or from it, or any request, or any answer (also before it). */
const places = {
    posted: { direction: 'up', head: /^PUT /, inBody: true },
    collected: { direction: 'down', head: /^HTTP\/1\.1 20[06] [^]*application\/octet-stream/i, inBody: true },
    asked: { direction: 'up', head: /^[A-Z]+ \//, inBody: false },
    answered: { direction: 'down', head: /^HTTP\/1\.1 /, inBody: false },
};
export const cutPlaces = Object.keys(places);
export class Line {
    cuts = { posted: 0, collected: 0, asked: 0, answered: 0 };
    connections = 0;
    /** That have arrived here, from both sides. */
    octets = 0;
    /** Port of the server; null while nobody listens. */
    target = null;
    #server;
    #sockets = new Set();
    #next = null;
    #isShut = false;
    constructor() {
        this.#server = createServer((near) => this.#relay(near));
    }
    async open() {
        await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve()));
    }
    get url() {
        return `http://127.0.0.1:${this.#server.address().port}`;
    }
    get cutCount() {
        return Object.values(this.cuts).reduce((sum, count) => sum + count, 0);
    }
    get isArmed() {
        return this.#next !== null;
    }
    /** The next message of that kind is cut, or so many. `share`: 0 ≤ share < 1, of the body, or of all of it. */
    cutNext(name, share, count = 1) {
        this.#next = { name, share, more: count - 1 };
    }
    /** The next message of that kind stops there, on a line that stays open. Resolved: it has. */
    stallNext(name, share) {
        return new Promise((stalled) => {
            this.#next = { name, share, more: 0, stalled };
        });
    }
    disarm() {
        this.#next = null;
    }
    shut() {
        this.#isShut = true;
        for (const socket of this.#sockets)
            socket.destroy();
    }
    restore() {
        this.#isShut = false;
    }
    async close() {
        this.shut();
        await new Promise((resolve) => this.#server.close(resolve));
    }
    #relay(near) {
        if (this.#isShut || this.target === null) {
            near.destroy();
            return;
        }
        this.connections++;
        const far = connect(this.target, '127.0.0.1');
        for (const [one, other] of [
            [near, far],
            [far, near],
        ]) {
            this.#sockets.add(one);
            one.on('error', () => other.destroy());
            one.on('close', () => {
                this.#sockets.delete(one);
                other.destroy();
            });
        }
        this.#forward('up', near, far);
        this.#forward('down', far, near);
    }
    #forward(direction, from, to) {
        /** Octets until the cut that this message will not survive; null: it is not to be cut. */
        let left = null;
        let breach = null;
        from.on('data', (octets) => {
            this.octets += octets.length;
            if (to.destroyed)
                return;
            const next = this.#next;
            if (left === null && next !== null && places[next.name].direction === direction) {
                left = positionIn(octets, places[next.name], next.share);
                if (left !== null) {
                    breach = next;
                    this.#next = next.more === 0 ? null : { ...next, more: next.more - 1 };
                }
            }
            if (left === null || octets.length <= left) {
                if (left !== null)
                    left -= octets.length;
                to.write(octets);
                return;
            }
            const passed = octets.subarray(0, left);
            if (breach.stalled !== undefined) {
                from.pause();
                to.write(passed);
                breach.stalled();
                return;
            }
            this.cuts[breach.name]++;
            from.destroy();
            // What had passed arrives: a cut line has carried what came before.
            to.end(passed, () => to.destroy());
        });
    }
}
/** How many octets of it pass; null: it is no message of that kind. Each message begins a chunk: nothing is pipelined. */
function positionIn(octets, { head, inBody }, share) {
    const text = octets.toString('latin1', 0, 4_096);
    if (!head.test(text))
        return null;
    const end = text.indexOf('\r\n\r\n');
    if (end < 0)
        return null;
    const body = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
    const start = end + 4;
    if (!inBody)
        return Math.floor((start + body) * share);
    return body < 2 ? null : start + 1 + Math.floor((body - 1) * share);
}
