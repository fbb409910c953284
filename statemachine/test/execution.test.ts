/** What an execution does, and what each step is given, in a second interpreter. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { definition, fixture, MODELS } from './fixtures';
import { failure, run, type Run, type Step } from './interpreter';

const PERMANENT = [
  'InvalidInput',
  'BatchTooLarge',
  'ModelUnavailable',
  'EnsembleUnavailable',
  'StoreRefused',
];

const succeeding: Record<string, Step> = {
  Extract: () => fixture('feature-batch'),
  ...Object.fromEntries(
    MODELS.map((model) => [`Predict with ${model}`, () => fixture(`prediction-batch.${model}`)]),
  ),
  Ensemble: () => fixture('ensemble-output'),
};

/** A step that fails under these names, one call each, and then does what `then` does. */
function failing(names: string[], then: Step): Step {
  const left = [...names];
  return (payload) => {
    const name = left.shift();
    if (name !== undefined) {
      throw failure(name);
    }
    return then(payload);
  };
}

function always(name: string, message?: string): Step {
  return () => {
    throw failure(name, message);
  };
}

function callsOf(done: Run, state: string): number {
  return done.calls.get(state)?.length ?? 0;
}

/** What extract was given; the interpreter sets the start of an execution itself, so that only its form is held. */
function extractInputs(done: Run): unknown[] {
  const { started_at: expected } = fixture('extract-input') as { started_at: string };
  const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
  assert.match(expected, timestamp);
  return (done.calls.get('Extract') ?? []).map((payload) => {
    const given = payload as { started_at: string };
    assert.match(given.started_at, timestamp);
    return { ...given, started_at: expected };
  });
}

interface EnsembleInput {
  features: unknown;
  predictions: { model: string; error?: { Error: string; Cause: string } }[];
}

test('all succeed: every step is called once, with the message of the contract', async () => {
  const done = await run(definition(), fixture('execution-input'), succeeding);
  assert.equal(done.error, undefined);
  assert.deepEqual(done.output, fixture('ensemble-output'));
  assert.deepEqual(extractInputs(done), [fixture('extract-input')]);
  for (const model of MODELS) {
    assert.deepEqual(done.calls.get(`Predict with ${model}`), [fixture('feature-batch')]);
  }
  assert.deepEqual(done.calls.get('Ensemble'), [fixture('ensemble-input')]);
});

test('the short form that a person gives reaches extract as it is', async () => {
  const done = await run(definition(), fixture('execution-input.short'), succeeding);
  assert.equal(done.error, undefined);
  assert.deepEqual(extractInputs(done), [fixture('extract-input.short')]);
});

test('one predictor fails for good: it abstains under its name, the others answer', async () => {
  const cause = 'ModelUnavailable: s3://registry/models/lightgbm/current.json: no such object';
  const steps = { ...succeeding, 'Predict with lightgbm': always('ModelUnavailable', cause) };
  const done = await run(definition(), fixture('execution-input'), steps);
  assert.deepEqual(done.output, fixture('ensemble-output'));
  const [input] = done.calls.get('Ensemble') as [EnsembleInput];
  const expected = fixture('ensemble-input.one-failed') as EnsembleInput;
  assert.deepEqual(input.predictions[1]?.model, 'lightgbm');
  assert.deepEqual(input.predictions[1]?.error?.Error, 'ModelUnavailable');
  assert.match(input.predictions[1]?.error?.Cause ?? '', /no such object/);
  assert.deepEqual(
    Object.keys(input.predictions[1] ?? {}).sort(),
    Object.keys(expected.predictions[1] ?? {}).sort(),
  );
  assert.deepEqual(input.features, expected.features);
  assert.deepEqual(
    [input.predictions[0], input.predictions[2]],
    [expected.predictions[0], expected.predictions[2]],
  );
});

test('the failure of a predictor has the shape of its fixture', async () => {
  const expected = fixture('prediction-failed.lightgbm') as EnsembleInput['predictions'][0];
  assert.deepEqual((fixture('ensemble-input.one-failed') as EnsembleInput).predictions[1], expected);
  assert.deepEqual(Object.keys(expected.error ?? {}).sort(), ['Cause', 'Error']);
});

for (const name of PERMANENT) {
  test(`${name} is never tried again`, async () => {
    const steps = { ...succeeding, 'Predict with xgboost': always(name) };
    const done = await run(definition(), fixture('execution-input'), steps);
    assert.equal(callsOf(done, 'Predict with xgboost'), 1);
    const [input] = done.calls.get('Ensemble') as [EnsembleInput];
    assert.equal(input.predictions[0]?.error?.Error, name);
  });
}

test('a fault that passes is tried again, and the prediction counts', async () => {
  const answer = succeeding['Predict with forest'] as Step;
  const faults = ['StoreThrottled', 'Lambda.TooManyRequestsException', 'StoreUnavailable'];
  const steps = { ...succeeding, 'Predict with forest': failing(faults, answer) };
  const done = await run(definition(), fixture('execution-input'), steps);
  assert.equal(callsOf(done, 'Predict with forest'), 4);
  assert.deepEqual(done.calls.get('Ensemble'), [fixture('ensemble-input')]);
});

test('a fault that does not pass ends as an abstention after four attempts', async () => {
  const steps = { ...succeeding, 'Predict with forest': always('StoreUnavailable') };
  const done = await run(definition(), fixture('execution-input'), steps);
  assert.equal(callsOf(done, 'Predict with forest'), 4);
  const [input] = done.calls.get('Ensemble') as [EnsembleInput];
  assert.equal(input.predictions[2]?.error?.Error, 'StoreUnavailable');
});

test('a predictor that does not answer in time abstains, and is not tried again', async () => {
  const machine = structuredClone(definition());
  const branch = machine.States.Predict?.Branches?.[0]?.States['Predict with xgboost'];
  assert.ok(branch);
  Object.assign(branch, { TimeoutSeconds: 1 });
  const late: Step = () =>
    new Promise((resolve) => setTimeout(() => resolve(fixture('prediction-batch.xgboost')), 1_500));
  const done = await run(machine, fixture('execution-input'), {
    ...succeeding,
    'Predict with xgboost': late,
  });
  assert.equal(callsOf(done, 'Predict with xgboost'), 1);
  const [input] = done.calls.get('Ensemble') as [EnsembleInput];
  assert.equal(input.predictions[0]?.error?.Error, 'States.Timeout');
});

test('all predictors fail: the ensemble is still called, and knows why', async () => {
  const failed = Object.fromEntries(
    MODELS.map((model) => [`Predict with ${model}`, always('ModelUnavailable')]),
  );
  const done = await run(definition(), fixture('execution-input'), { ...succeeding, ...failed });
  assert.deepEqual(done.output, fixture('ensemble-output'));
  const [input] = done.calls.get('Ensemble') as [EnsembleInput];
  assert.deepEqual(
    input.predictions.map(({ model, error }) => [model, error?.Error]),
    MODELS.map((model) => [model, 'ModelUnavailable']),
  );
});

test('extract fails: the execution fails under the same name, and nothing else is called', async () => {
  const done = await run(definition(), fixture('execution-input'), {
    ...succeeding,
    Extract: always('InvalidInput'),
  });
  assert.equal(done.error, 'InvalidInput');
  assert.deepEqual([...done.calls.keys()], ['Extract']);
  assert.equal(callsOf(done, 'Extract'), 1);
});

test('ensemble fails for good: the execution fails under the same name', async () => {
  const done = await run(definition(), fixture('execution-input'), {
    ...succeeding,
    Ensemble: always('StoreRefused'),
  });
  assert.equal(done.error, 'StoreRefused');
  assert.equal(callsOf(done, 'Ensemble'), 1);
});

test('ensemble is throttled by the table: it is tried again', async () => {
  const answer = succeeding.Ensemble as Step;
  const steps = { ...succeeding, Ensemble: failing(['StoreThrottled'], answer) };
  const done = await run(definition(), fixture('execution-input'), steps);
  assert.deepEqual(done.output, fixture('ensemble-output'));
  assert.equal(callsOf(done, 'Ensemble'), 2);
});
