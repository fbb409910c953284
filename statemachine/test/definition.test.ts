/** The definition on its own: valid, expanded as the ensemble says, within its times and sizes, names as agreed. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import {
  BATCH_BYTES_MAX,
  BATCH_ENTITIES_MAX,
  expand,
  EXPRESS_SECONDS_MAX,
  PREDICTION_BYTES_PER_ENTITY,
  PREDICTION_FRAME_BYTES,
  readEnsemble,
  STATE_BYTES_MAX,
  stateBytesAtWorst,
  tasks,
  worstCaseSeconds,
  type Machine,
} from 'tribunal-statemachine';

import { arns, definition, MODELS, REGISTRY, ROOT } from './fixtures';

const validate = require('asl-validator') as (machine: unknown) => {
  isValid: boolean;
  errorsText: () => string;
};

/** Retryable errors of the Lambda integration, as the Step Functions guide lists them ("Handle Lambda service exceptions"). */
const LAMBDA_TRANSIENT = [
  'Lambda.AWSLambdaException',
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.SdkClientException',
  'Lambda.ServiceException',
  'Lambda.TooManyRequestsException',
  'Lambda.Unknown',
];

/** Checks a copy: the validator writes into what it is given. */
function verdict(machine: Machine): { isValid: boolean; text: string } {
  const { isValid, errorsText } = validate(structuredClone(machine));
  return { isValid, text: errorsText() };
}

function source(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The error names of the functions, read from where they are declared. */
function errorNames(): { all: string[]; transient: string[] } {
  const code = source('crates/core/src/error_name.rs');
  const names = new Map(
    [...code.matchAll(/Self::(\w+) => "(\w+)"/g)].map(([, variant, name]) => [variant ?? '', name ?? '']),
  );
  const transient = /fn is_transient\(self\) -> bool \{\s*matches!\(self, ([^)]*)\)/.exec(code)?.[1] ?? '';
  const variants = [...transient.matchAll(/Self::(\w+)/g)].map(
    ([, variant]) => names.get(variant ?? '') ?? `${variant}?`,
  );
  return { all: [...names.values()].sort(), transient: variants.sort() };
}

/** A constant of the messages' source, with its product worked out. */
function constant(name: string): number {
  const value = new RegExp(`pub const ${name}: usize = ([0-9_* ]+);`).exec(
    source('crates/core/src/message.rs'),
  )?.[1];
  assert.ok(value, `crates/core/src/message.rs has no constant ${name}`);
  return value.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '').trim()), 1);
}

test('the validator accepts the definition for one model and for several', () => {
  for (const models of [['xgboost'], [...MODELS]]) {
    assert.deepEqual(verdict(expand(arns(models))), { isValid: true, text: '' });
  }
});

test('the validator refuses a broken definition', () => {
  const machine = definition();
  const { Predict: _, ...states } = machine.States;
  assert.match(verdict({ ...machine, States: states }).text, /MISSING_TRANSITION_TARGET/);
  assert.equal(verdict({ ...machine, StartAt: 'Nowhere' }).isValid, false);
  const ensemble = { ...machine.States.Ensemble, Type: 'Task', TimeoutSeconds: -1 };
  assert.equal(verdict({ ...machine, States: { ...machine.States, Ensemble: ensemble } }).isValid, false);
});

test('there is one branch per member, in the order of the ensemble, and no placeholder is left', () => {
  const machine = definition();
  const branches = machine.States.Predict?.Branches ?? [];
  assert.deepEqual(
    branches.map(({ StartAt }) => StartAt),
    MODELS.map((model) => `Predict with ${model}`),
  );
  const text = JSON.stringify(machine);
  assert.doesNotMatch(text, /\$\{/);
  for (const model of MODELS) {
    assert.equal(text.split(`function:tribunal-predict-${model}"`).length - 1, 1);
  }
});

test('a CDK token in place of an ARN stays as it is', () => {
  const token = '${Token[TOKEN.12]}';
  const text = JSON.stringify(expand({ extract: token, predict: { xgboost: token }, ensemble: token }));
  assert.equal(text.split(token).length - 1, 3);
});

test('a placeholder that nobody fills is refused by its name', () => {
  const machine: Machine = { StartAt: 'A', States: { A: { Type: 'Pass', Next: '${Typo}' } } };
  assert.throws(() => expand(arns(), machine), /names \$\{Typo\}, expected one of ExtractFunctionArn/);
});

test('an ensemble without members is refused, and one whose answers do not fit', () => {
  assert.throws(() => expand(arns([])), /no member/);
  const many = Array.from({ length: 40 }, (_, at) => `model-${at}`);
  assert.throws(() => expand(arns(many)), /state of 40 members may reach \d+ bytes, the limit is 262144/);
});

test('every task has a timeout, backs off with jitter, and is tried at most four times', () => {
  const found = tasks(definition());
  assert.equal(found.length, MODELS.length + 2);
  for (const [name, state] of found) {
    assert.ok((state.TimeoutSeconds ?? 0) > 0, `${name} has no timeout`);
    const [retrier, ...others] = state.Retry ?? [];
    assert.ok(retrier, `${name} is never tried again`);
    assert.deepEqual(others, []);
    assert.equal(retrier.JitterStrategy, 'FULL');
    assert.ok(retrier.BackoffRate > 1 && retrier.MaxAttempts === 3 && retrier.MaxDelaySeconds === 4);
  }
});

test('the worst case fits into the machine, and the machine into an Express execution', () => {
  const machine = definition();
  const worst = worstCaseSeconds(machine);
  assert.equal(worst, 141);
  assert.ok(machine.TimeoutSeconds !== undefined && worst < machine.TimeoutSeconds);
  assert.ok(machine.TimeoutSeconds < EXPRESS_SECONDS_MAX);
  const comment = machine.Comment ?? '';
  assert.ok(comment.includes(`= ${worst} s`), 'the comment of the definition gives another worst case');
  assert.ok(comment.includes(`TimeoutSeconds (${machine.TimeoutSeconds} s)`));
});

test('the worst case counts attempts, pauses and branches', () => {
  const retrier = {
    ErrorEquals: ['X'],
    IntervalSeconds: 1,
    BackoffRate: 2,
    MaxAttempts: 3,
    MaxDelaySeconds: 3,
    JitterStrategy: 'FULL',
  };
  const task = { Type: 'Task', TimeoutSeconds: 5, Retry: [retrier], End: true };
  const branch = (seconds: number): Machine => ({
    StartAt: 'T',
    States: { T: { Type: 'Task', TimeoutSeconds: seconds, End: true } },
  });
  assert.equal(worstCaseSeconds({ StartAt: 'T', States: { T: task } }), 4 * 5 + 1 + 2 + 3);
  assert.equal(
    worstCaseSeconds({ StartAt: 'P', States: { P: { Type: 'Parallel', Branches: [branch(7), branch(2)] } } }),
    7,
  );
  assert.equal(worstCaseSeconds({ StartAt: 'T', States: { T: { Type: 'Task' } } }), Infinity);
});

test('Retry names exactly the transient errors: of the functions, and of the Lambda integration', () => {
  const { all, transient } = errorNames();
  assert.ok(all.length >= 7 && transient.length >= 2, 'the error names could not be read from their source');
  for (const [name, state] of tasks(definition())) {
    const retried = (state.Retry ?? []).flatMap(({ ErrorEquals }) => ErrorEquals).sort();
    assert.deepEqual(retried, [...LAMBDA_TRANSIENT, ...transient].sort(), name);
  }
});

test('Catch stands on the predictors only, and takes everything that can be caught', () => {
  for (const [name, state] of tasks(definition())) {
    const caught = (state.Catch ?? []).map(({ ErrorEquals, ResultPath }) => [ErrorEquals, ResultPath]);
    assert.deepEqual(caught, name.startsWith('Predict with ') ? [[['States.ALL'], '$.error']] : [], name);
  }
});

test('the limits are those of the messages', () => {
  assert.equal(constant('MAX_BATCH_ENTITIES'), BATCH_ENTITIES_MAX);
  assert.equal(constant('MAX_BATCH_BYTES'), BATCH_BYTES_MAX);
  assert.equal(constant('MAX_PREDICTION_BYTES'), PREDICTION_BYTES_PER_ENTITY);
  assert.equal(constant('MAX_PREDICTION_FRAME_BYTES'), PREDICTION_FRAME_BYTES);
});

test('a full batch fits into the state for six members; seven are refused', () => {
  assert.equal(stateBytesAtWorst(6), 36_864 + 8_192 + 6 * 512 + 50 * (1_940 + 6 * 384));
  assert.ok(stateBytesAtWorst(6) < STATE_BYTES_MAX);
  assert.ok(stateBytesAtWorst(7) > STATE_BYTES_MAX);
  const seven = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  assert.throws(() => expand(arns(seven)), /state of 7 members may reach 280040 bytes/);
});

test('extract refuses what would not leave room for the predictions', () => {
  const formula =
    /pub const MAX_FEATURES_BYTES: usize = MAX_BATCH_BYTES \+ 8 \* 1024 \+ MAX_BATCH_ENTITIES \* 1_940;/;
  assert.match(source('crates/core/src/message.rs'), formula);
  assert.equal(stateBytesAtWorst(0), BATCH_BYTES_MAX + 8 * 1024 + BATCH_ENTITIES_MAX * 1_940);
});

test('the definition itself is far from its limit of 1 MB', () => {
  const bytes = Buffer.byteLength(JSON.stringify(definition()));
  assert.ok(bytes < 16_384, `the definition has ${bytes} bytes`);
});

test('the ensemble definition names the models', () => {
  assert.deepEqual(readEnsemble(REGISTRY), { version: '1', models: [...MODELS] });
});

/** Reads an ensemble definition from a folder with these files in it. */
function reading(files: Record<string, unknown>): () => unknown {
  return () => {
    const folder = mkdtempSync(join(tmpdir(), 'tribunal-ensemble-'));
    try {
      for (const [name, content] of Object.entries(files)) {
        const path = join(folder, 'ensemble', name);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
      }
      return readEnsemble(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

test('a wrong ensemble definition is refused with file and value', () => {
  const current = { version: '1' };
  const members = (...models: unknown[]): unknown => ({ members: models.map((model) => ({ model })) });
  assert.throws(reading({}), /current\.json: cannot be read as JSON/);
  assert.throws(reading({ 'current.json': '{' }), /current\.json: cannot be read as JSON/);
  assert.throws(
    reading({ 'current.json': { version: '../../etc/passwd' } }),
    /version is "\.\.\/\.\.\/etc\/passwd"/,
  );
  assert.throws(reading({ 'current.json': current }), /versions.1\.json: cannot be read/);
  assert.throws(reading({ 'current.json': current, 'versions/1.json': members() }), /members is \[\]/);
  assert.throws(
    reading({ 'current.json': current, 'versions/1.json': members('a', 'b', 'a') }),
    /"a" is a member twice/,
  );
  assert.throws(reading({ 'current.json': current, 'versions/1.json': members('Ä/*') }), /model is "Ä\/\*"/);
});
