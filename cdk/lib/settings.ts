/**
 * What a deployment may choose, read from the CDK context. Every value is checked here, at once and by name; the
 * constructs take it as given. docs/deploy.md has the same table for a person.
 */

import { join, resolve } from 'node:path';

import { RetentionDays } from 'aws-cdk-lib/aws-logs';

/** Instruction set of the functions. */
export type ArchitectureName = 'x86_64' | 'arm64';

/** A deployment's choices. */
export interface Settings {
  /** Name of the CloudFormation stack: the command line finds the deployment by it. */
  readonly stackName: string;
  /** Start of the names of queues, functions, alarms, dashboard and state machine. */
  readonly prefix: string;
  /** Instruction set that the zips were built for. */
  readonly architecture: ArchitectureName;
  /** Folder with dispatch.zip, extract.zip, predict.zip and ensemble.zip. */
  readonly lambdaDir: string;
  /** Folder with the ensemble definition; only its members' names are read. */
  readonly registry: string;
  /** The `sources.toml` whose secrets extract may read; without it, it may read none. */
  readonly sources?: string;
  /** Memory of extract, which holds the data sets; its share of a processor grows with it. */
  readonly extractMemoryMb: number;
  /** Messages that the dispatcher is given at most at a time. */
  readonly batchSize: number;
  /** Seconds that messages are gathered for a batch. */
  readonly batchWindowSeconds: number;
  /** Dispatchers that run at most at the same time: the brake of the whole pipeline. */
  readonly maxConcurrency: number;
  /** Days until a score expires. */
  readonly scoreTtlDays: number;
  /** Days that logs are kept. */
  readonly logRetentionDays: number;
  /** Whether table and bucket outlive the stack. */
  readonly retain: boolean;
  /** Name of an event bus that is there already; without it the stack makes one. */
  readonly eventBus?: string;
  /** Topic that alarms are sent to; without it they only change their state. */
  readonly alarmTopicArn?: string;
}

const ROOT = resolve(__dirname, '..', '..');
/** Lambda takes larger batches only when it may wait for them. */
const BATCH_WITHOUT_WINDOW_MAX = 10;

/**
 * Reads the settings.
 *
 * @param context value of a context name, `undefined` when it is not given
 * @throws when a value is not allowed: the message has the name, the value and what is expected
 */
export function readSettings(context: (name: string) => unknown): Settings {
  const text = (name: string, fallback: string, allowed: RegExp): string => {
    const value = context(name) ?? fallback;
    return typeof value === 'string' && allowed.test(value)
      ? value
      : refuse(name, value, `a text that matches ${allowed}`);
  };
  const whole = (name: string, fallback: number, min: number, max: number): number => {
    const given = context(name) ?? fallback;
    const value = typeof given === 'string' && /^\d{1,9}$/.test(given) ? Number(given) : given;
    const fits = typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
    return fits ? value : refuse(name, given, `a whole number from ${min} to ${max}`);
  };
  const stackName = text('stackName', 'Tribunal', /^[A-Za-z][A-Za-z0-9-]{0,127}$/);
  const batchSize = whole('batchSize', 10, 1, 1_000);
  const batchWindowSeconds = whole('batchWindowSeconds', 1, 0, 300);
  if (batchSize > BATCH_WITHOUT_WINDOW_MAX && batchWindowSeconds === 0) {
    refuse(
      'batchWindowSeconds',
      0,
      `at least 1, since batchSize is ${batchSize} and not at most ${BATCH_WITHOUT_WINDOW_MAX}`,
    );
  }
  const topic = context('alarmTopicArn');
  const sources = context('sources');
  const eventBus = context('eventBus');
  return {
    stackName,
    prefix: text('prefix', stackName.toLowerCase().slice(0, 20).replace(/-+$/, ''), /^[a-z][a-z0-9-]{0,19}$/),
    architecture: text('architecture', 'x86_64', /^(x86_64|arm64)$/) as ArchitectureName,
    lambdaDir: resolve(text('lambdaDir', join(ROOT, 'target', 'lambda'), /./)),
    registry: resolve(text('registry', join(ROOT, 'models'), /./)),
    ...(sources === undefined ? {} : { sources: resolve(text('sources', '', /./)) }),
    extractMemoryMb: whole('extractMemoryMb', 512, 256, 10_240),
    batchSize,
    batchWindowSeconds,
    maxConcurrency: whole('maxConcurrency', 10, 2, 1_000),
    scoreTtlDays: whole('scoreTtlDays', 90, 1, 3_650),
    logRetentionDays: retention(whole('logRetentionDays', 30, 1, 3_653)),
    retain: text('retain', 'true', /^(true|false)$/) === 'true',
    ...(eventBus === undefined ? {} : { eventBus: text('eventBus', '', /^[A-Za-z0-9._-]{1,256}$/) }),
    ...(topic === undefined
      ? {}
      : { alarmTopicArn: text('alarmTopicArn', '', /^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:.+$/) }),
  };
}

/** CloudWatch keeps logs only for certain numbers of days. */
function retention(days: number): number {
  const allowed = Object.values(RetentionDays).filter((value) => typeof value === 'number' && value < 9_999);
  return allowed.includes(days) ? days : refuse('logRetentionDays', days, `one of ${allowed.join(', ')}`);
}

function refuse(name: string, value: unknown, expected: string): never {
  throw new Error(`context value ${name} is ${JSON.stringify(value)}, expected ${expected}`);
}
