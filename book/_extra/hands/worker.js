// Drives a session: a tenth of a second of steps at a time, so that a pause is heard, and the losses after each. `hear` takes
// what the page says: {start: settings, bytes}, {go: true or false}, {open: net}. `say` gives it the answers.
"use strict";

function makeDriver(say, makeSession, makers) {
  let [session, running, busy, told, settings] = [null, false, 0, 0, null];

  function news() {
    const { trainer } = session;
    const losses = trainer.nets.map((net) => net.losses.slice(told));
    told = trainer.done;
    return { done: told, busy, losses, lost: trainer.nets.map((net) => net.lost) };
  }

  function work() {
    if (!running) return;
    const { trainer } = session;
    const start = performance.now();
    while (trainer.done < trainer.steps && performance.now() - start < 100) trainer.step();
    busy += performance.now() - start;
    const finished = trainer.done >= trainer.steps;
    if (finished) running = false;
    say({ ...news(), ...(finished ? { finished: true, test: session.test(), settings } : {}) });
    if (running) setTimeout(work, 0);
  }

  return function hear(message) {
    try {
      if (message.start) {
        settings = message.start;
        session = makeSession(message.bytes, settings, makers);
        [running, busy, told] = [true, 0, 0];
        work();
      } else if ("go" in message && session) {
        const idle = !running;
        running = message.go;
        if (running && idle) setTimeout(work, 0);
      } else if ("open" in message && session) say({ opened: message.open, net: session.trainer.net(message.open) });
    } catch (error) {
      running = false;
      say({ trouble: String(error.message ?? error) });
    }
  };
}

// The driver in a worker made from the text of these functions, which works from files, too; or, where no worker can be
// made, in the page itself.
function startDriver(say) {
  const makers = { makeRandom, makeTasks, makeStart, makeTrainer };
  try {
    const names = Object.keys(makers).join(", ");
    const text = [...Object.values(makers), makeSession, makeDriver].join("\n");
    const code = `"use strict";\n${text}\nonmessage = ((hear) => (event) => hear(event.data))(
      makeDriver(postMessage, makeSession, { ${names} }));`;
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const worker = new Worker(address);
    worker.onmessage = (event) => say(event.data);
    return { hear: (message) => worker.postMessage(message), end: () => (worker.terminate(), URL.revokeObjectURL(address)) };
  } catch {
    let ended = false;
    const hear = makeDriver((message) => ended || say(message), makeSession, makers);
    return { hear: (message) => setTimeout(() => ended || hear(message)), end: () => { hear({ go: false }); ended = true; } };
  }
}

if (typeof module !== "undefined") module.exports = { makeDriver, startDriver };
