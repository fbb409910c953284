/** The context: defaults, and what is refused. */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';

import { readSettings, type Settings } from '../lib/settings';

function settings(context: Readonly<Record<string, unknown>> = {}): Settings {
  return readSettings((name) => context[name]);
}

test('without a context there is a deployment that works from a checkout', () => {
  const root = resolve(__dirname, '..', '..');
  assert.deepEqual(settings(), {
    stackName: 'Tribunal',
    prefix: 'tribunal',
    architecture: 'x86_64',
    lambdaDir: resolve(root, 'target', 'lambda'),
    registry: resolve(root, 'models'),
    extractMemoryMb: 512,
    batchSize: 10,
    batchWindowSeconds: 1,
    maxConcurrency: 10,
    scoreTtlDays: 90,
    logRetentionDays: 30,
    retain: true,
  });
});

test('the prefix follows the name of the stack, shortened so that every name fits', () => {
  assert.equal(settings({ stackName: 'Tribunal-Test' }).prefix, 'tribunal-test');
  assert.equal(settings({ stackName: 'A-Very-Long-Name-For-A-Stack' }).prefix, 'a-very-long-name-for');
  assert.equal(settings({ stackName: 'Tribunal', prefix: 'blue' }).prefix, 'blue');
});

test('sources is the path of a file', () => {
  assert.equal(settings({ sources: 'models/sources.toml' }).sources, resolve('models/sources.toml'));
});

test('numbers are taken as the command line gives them, as text', () => {
  assert.equal(settings({ maxConcurrency: '25' }).maxConcurrency, 25);
  assert.equal(settings({ maxConcurrency: 25 }).maxConcurrency, 25);
});

for (const [name, value, message] of [
  ['architecture', 'arm', /architecture is "arm", expected a text that matches .*x86_64\|arm64/],
  ['stackName', '9lives', /stackName is "9lives"/],
  ['prefix', 'Upper', /prefix is "Upper"/],
  ['batchSize', '0', /batchSize is "0", expected a whole number from 1 to 1000/],
  ['batchSize', '1e2', /batchSize is "1e2"/],
  ['batchSize', 10.5, /batchSize is 10.5/],
  ['maxConcurrency', '1', /maxConcurrency is "1", expected a whole number from 2 to 1000/],
  ['extractMemoryMb', '128', /extractMemoryMb is "128", expected a whole number from 256 to 10240/],
  ['sources', '', /sources is ""/],
  ['scoreTtlDays', '', /scoreTtlDays is ""/],
  ['logRetentionDays', '31', /logRetentionDays is 31, expected one of 1, 3, 5, 7/],
  ['retain', 'yes', /retain is "yes"/],
  ['alarmTopicArn', 'on-call', /alarmTopicArn is "on-call"/],
  ['eventBus', 'a bus', /eventBus is "a bus", expected a text that matches/],
] as const) {
  test(`${name} = ${JSON.stringify(value)} is refused by name, with what is expected`, () => {
    assert.throws(() => settings({ [name]: value }), message);
  });
}

test('a large batch needs time to gather', () => {
  assert.throws(
    () => settings({ batchSize: '50', batchWindowSeconds: '0' }),
    /batchWindowSeconds is 0, expected at least 1, since batchSize is 50/,
  );
  assert.equal(settings({ batchSize: '50' }).batchWindowSeconds, 1);
  assert.equal(settings({ batchSize: '10', batchWindowSeconds: '0' }).batchWindowSeconds, 0);
});
