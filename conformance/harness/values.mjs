// Arguments that have broken implementations before.

const deep = (depth) => (depth === 0 ? 'bottom' : { [`level ${depth}`]: [deep(depth - 1)] });

/** Values which come back as they went. */
export const plain = {
  null: null,
  true: true,
  false: false,
  zero: 0,
  'negative number': -1,
  fraction: 0.1,
  'largest exact integer': 2 ** 53 - 1,
  'smallest exact integer': -(2 ** 53 - 1),
  'huge number': 1e308,
  'tiny number': 5e-324,
  'empty text': '',
  'text beyond ASCII': 'é€😀 中文 العربية',
  'control characters': '\u0000\u0001\u001e\u001f\u007f\u0080\u2028\u2029\ufeff',
  'text with quotes': '"\\"/\\\\\b\f\n\r\t',
  'lone surrogate': 'a\ud800b',
  'text like a packet': '42["echo"]\u001e1',
  'empty list': [],
  'empty object': {},
  'nested lists': [[[[]]], [1, [2, [3]]]],
  'deep nesting': deep(40),
  'object with odd keys': JSON.parse('{"":1,"__proto__":{"a":1},"constructor":2,"toString":3,"a\\"b":4,"é":5}'),
  'object like a placeholder': { _placeholder: true, num: 0 },
  'object like a placeholder in a list': [{ _placeholder: 1 }, { _placeholder: true, num: 'x' }],
  'long text': 'ab€'.repeat(20_000),
  'many keys': Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key ${i}`, i])),
};

/** Values which come back as something else: what goes, what comes. */
export const changed = {
  undefined: [undefined, null],
  'not a number': [NaN, null],
  infinity: [Infinity, null],
  'negative zero': [-0, 0],
  date: [new Date(0), '1970-01-01T00:00:00.000Z'],
  map: [new Map([[1, 2]]), {}],
  'own toJSON': [{ toJSON: () => ({ from: 'toJSON' }) }, { from: 'toJSON' }],
  'undefined in a list': [[undefined, 1], [null, 1]],
  'undefined in an object': [{ a: undefined, b: 1 }, { b: 1 }],
};

const bytes = Buffer.from([0, 1, 2, 127, 128, 254, 255]);
const shared = Buffer.from('the same twice');

/** Binary data, anywhere in the arguments: what goes, what comes (always as Buffer in Node.js). */
export const binary = {
  buffer: [[bytes], [bytes]],
  'empty buffer': [[Buffer.alloc(0)], [Buffer.alloc(0)]],
  'typed array': [[new Uint8Array([1, 2, 3])], [Buffer.from([1, 2, 3])]],
  'view into a larger buffer': [[new Uint8Array([9, 1, 2, 9]).subarray(1, 3)], [Buffer.from([1, 2])]],
  'array buffer': [[new Uint8Array([5, 6]).buffer], [Buffer.from([5, 6])]],
  'floats': [[new Float32Array([1.5])], [Buffer.from(new Float32Array([1.5]).buffer)]],
  'between other arguments': [[1, bytes, 'x', { a: null }], [1, bytes, 'x', { a: null }]],
  'several at the top': [[bytes, Buffer.from('b'), Buffer.from('c')], [bytes, Buffer.from('b'), Buffer.from('c')]],
  'deep inside': [[{ a: [{ b: { c: [bytes, { d: Buffer.from('d') }] } }], e: 1 }], [{ a: [{ b: { c: [bytes, { d: Buffer.from('d') }] } }], e: 1 }]],
  'the same twice': [[shared, { again: shared }], [shared, { again: shared }]],
  'ten, the most a packet may have': [Array.from({ length: 10 }, (_, i) => Buffer.from([i])), Array.from({ length: 10 }, (_, i) => Buffer.from([i]))],
  'beside null and empty': [[null, [], {}, bytes, ''], [null, [], {}, bytes, '']],
  large: [[Buffer.alloc(200_000, 'z')], [Buffer.alloc(200_000, 'z')]],
};
