/**
 * The security rule pack (cdk-nag, AwsSolutions), and how a finding is accepted: by its exact id, on one
 * construct, with a reason. A finding that nobody accepted stops the synthesis.
 */

import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { IConstruct } from 'constructs';

/** Checks every stack of the app when it is synthesized. */
export function addSecurityChecks(app: App): void {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app, { verbose: true }));
}

/**
 * Accepts one finding.
 *
 * @param on the construct that has it
 * @param id rule, with the finding in brackets where a rule has several: `AwsSolutions-IAM5[Resource::*]`
 * @param reason why it is right as it is
 */
export function accept(on: IConstruct, id: string, reason: string): void {
  Validations.of(on).acknowledge({ id, reason });
}
