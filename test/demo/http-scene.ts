/** The offices and the line of the demo over HTTP. */
import { AgentScene } from './agent-scene.ts';
import type { Office } from './office.ts';
import { Line } from '../relay/line.ts';

export class HttpScene extends AgentScene {
  readonly relay = new Line();

  override async close(): Promise<void> {
    await super.close();
    await this.relay.close();
  }

  protected override listens(office: Office, address: string | null): void {
    if (office === this.hq) this.relay.target = address === null ? null : Number(new URL(address).port);
  }
}
