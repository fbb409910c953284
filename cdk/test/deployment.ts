/** A synthesized stack for the tests, with zips that hold nothing. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { addSecurityChecks } from '../lib/security-checks';
import { readSettings } from '../lib/settings';
import { TribunalStack } from '../lib/tribunal-stack';

/** An ensemble of three: xgboost, lightgbm, forest. */
export const REGISTRY = join(__dirname, '..', '..', 'statemachine', 'test', 'fixtures', 'registry');
/** Members of that ensemble. */
export const MODELS = ['xgboost', 'lightgbm', 'forest'] as const;
/** Programs that a deployment needs. */
export const PROGRAMS = ['dispatch', 'extract', 'predict', 'ensemble'] as const;

/** A folder that is removed when the tests end. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tribunal-cdk-'));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];
process.on('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A folder with a zip for each program. */
export function zips(programs: readonly string[] = PROGRAMS): string {
  const folder = temporary();
  for (const program of programs) {
    // What is in the zip does not matter to the stack; the names keep the assets apart.
    writeFileSync(join(folder, `${program}.zip`), program);
  }
  return folder;
}

/** An app with the stack in it, not synthesized yet. */
export function deployment(context: Readonly<Record<string, string>> = {}): {
  app: App;
  stack: TribunalStack;
} {
  const app = new App({ analyticsReporting: false, outdir: temporary() });
  const given: Record<string, string> = { lambdaDir: zips(), registry: REGISTRY, ...context };
  const settings = readSettings((name) => given[name]);
  addSecurityChecks(app);
  return { app, stack: new TribunalStack(app, settings.stackName, { settings }) };
}

const templates = new Map<string, Template>();

/** The template for a context; synthesized once. */
export function template(context: Readonly<Record<string, string>> = {}): Template {
  const key = JSON.stringify(context);
  const made = templates.get(key) ?? Template.fromStack(deployment(context).stack);
  templates.set(key, made);
  return made;
}

/** Findings of the security rules, as the synthesis reports them. */
export function findings(app: App): string[] {
  let failed: unknown;
  try {
    app.synth();
  } catch (error) {
    failed = error;
  }
  const report = JSON.parse(readFileSync(join(app.outdir, 'validation-report.json'), 'utf8')) as Report;
  const found = report.pluginReports.flatMap(({ violations }) => violations.map(({ ruleName }) => ruleName));
  if (failed !== undefined && found.length === 0) {
    throw failed;
  }
  return found;
}

interface Report {
  pluginReports: { violations: { ruleName: string }[] }[];
}
