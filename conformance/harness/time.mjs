// Waiting, always with an end.

/** The value of `promise`, or an error that says what did not happen. */
export async function within(milliseconds, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${milliseconds} ms in vain for ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks `question` again and again until the answer is true. `what` may be a function, asked when it is too late. */
export async function until(question, what, milliseconds = 5_000) {
  const end = performance.now() + milliseconds;
  for (;;) {
    const answer = await question();
    if (answer) {
      return answer;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${milliseconds} ms in vain for ${typeof what === 'function' ? what() : what}`);
    }
    await pause(2);
  }
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The arguments of the next `event` of an emitter. */
export function next(emitter, event, milliseconds = 5_000) {
  return within(milliseconds, new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `"${event}"`);
}

/** Collects the first argument of `n` events. */
export function collect(emitter, event, n, milliseconds = 20_000) {
  const got = [];
  const all = new Promise((resolve) => {
    const listener = (value) => {
      got.push(value);
      if (got.length === n) {
        emitter.off(event, listener);
        resolve(got);
      }
    };
    emitter.on(event, listener);
  });
  return within(milliseconds, all, `${n} × "${event}"`).catch((error) => {
    throw new Error(`${error.message}; got ${got.length}`);
  });
}
