// What goes between the page and Python: a question as JSON, an answer as one block of bytes (messages.py).

export function unpack(buffer) {
  const view = new DataView(buffer);
  const length = view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const { name, type, shape, start } of head.arrays) {
    const size = shape.reduce((product, each) => product * each, 1);
    const from = 4 + length + start;
    const Kind = type === "u1" ? Uint8Array : Float32Array;
    arrays[name] = new Kind(buffer.slice(from, from + size * Kind.BYTES_PER_ELEMENT));
    arrays[name].shape = shape;
  }
  return { head, arrays };
}

// The page of `ncsn studio`: questions go to the server that it came from.
export function overHttp() {
  const name = crypto.randomUUID();
  return {
    hasAddress: true,
    guide: (page) => `/guide/${page}`,
    async ask(question) {
      const answer = await fetch("/ask", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Studio": name },
        body: JSON.stringify(question),
      });
      if (!answer.ok) throw new Error(`the studio answered ${answer.status}`);
      return unpack(await answer.arrayBuffer());
    },
  };
}

// A widget in a notebook: questions go to the kernel, and answers come back with their question's number.
export function overWidget(model) {
  const waiting = new Map();
  let number = 0;
  const hear = (content, buffers) => {
    const view = buffers[0];
    const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    waiting.get(content.number)?.(unpack(bytes));
    waiting.delete(content.number);
  };
  model.on("msg:custom", hear);
  return {
    hasAddress: false,
    guide: () => null,
    close: () => model.off("msg:custom", hear),
    ask(question) {
      number += 1;
      const mine = number;
      return new Promise((done) => {
        waiting.set(mine, done);
        model.send({ number: mine, question });
      });
    },
  };
}
