//! One reader and one writer of the messages of orders for each release's layout: they are most of
//! a channel. The others are [structures](super::structure).

/// The OrdType of a market order; others have none.
const MARKET: u8 = 1;

/// Reads and writes messages by one release's layout. The releases differ in offsets, and in the
/// name of the field that has the time of the request.
macro_rules! codec {
    ($release:ident, $name:ident, $request_time:ident) => {
        pub(super) mod $release {
            use super::super::Release;
            use super::super::content::{Content, Execution, Order, Side};
            use super::super::layout::$release::*;
            use super::MARKET;

            type Field<T> = Result<T, &'static str>;

            /// `None` for a message that is not of an order; an error names the field.
            pub(in super::super) fn read(
                template_id: u16,
                body: &[u8],
            ) -> Field<Option<Content<'_>>> {
                Ok(Some(match template_id {
                    heartbeat::ID => Content::Heartbeat {
                        last_processed: heartbeat::LAST_MSG_SEQ_NUM_PROCESSED
                            .get(body)
                            .ok_or("LastMsgSeqNumProcessed")?,
                    },
                    order_add::ID => Content::OrderAdd {
                        security_id: order_add::SECURITY_ID.get(body).ok_or("SecurityID")?,
                        order: order(&body[order_add::ORDER_DETAILS..])?,
                    },
                    order_modify::ID => Content::OrderModify {
                        security_id: order_modify::SECURITY_ID.get(body).ok_or("SecurityID")?,
                        previous_priority_ns: order_modify::TRD_REG_TS_PREV_TIME_PRIORITY.get(body),
                        previous_price: order_modify::PREV_PRICE.get(body),
                        previous_quantity: order_modify::PREV_DISPLAY_QTY
                            .get(body)
                            .ok_or("PrevDisplayQty")?,
                        order: order(&body[order_modify::ORDER_DETAILS..])?,
                    },
                    order_modify_same_prio::ID => Content::OrderModifySamePriority {
                        security_id: order_modify_same_prio::SECURITY_ID
                            .get(body)
                            .ok_or("SecurityID")?,
                        previous_quantity: order_modify_same_prio::PREV_DISPLAY_QTY
                            .get(body)
                            .ok_or("PrevDisplayQty")?,
                        order: order(&body[order_modify_same_prio::ORDER_DETAILS..])?,
                    },
                    order_delete::ID => Content::OrderDelete {
                        security_id: order_delete::SECURITY_ID.get(body).ok_or("SecurityID")?,
                        order: order(&body[order_delete::ORDER_DETAILS..])?,
                    },
                    order_mass_delete::ID => Content::OrderMassDelete {
                        security_id: order_mass_delete::SECURITY_ID
                            .get(body)
                            .ok_or("SecurityID")?,
                    },
                    full_order_execution::ID => Content::FullOrderExecution(execution(body)?),
                    partial_order_execution::ID => Content::PartialOrderExecution(execution(body)?),
                    snapshot_order::ID => {
                        Content::SnapshotOrder(order(&body[snapshot_order::ORDER_DETAILS..])?)
                    }
                    _ => return Ok(None),
                }))
            }

            /// Writes the fields of `content` into the zeroed bytes of its message.
            pub(in super::super) fn write(content: &Content<'_>, body: &mut [u8]) {
                let release = Release::$name;
                match *content {
                    Content::Heartbeat { last_processed } => {
                        heartbeat::LAST_MSG_SEQ_NUM_PROCESSED.put(body, Some(last_processed));
                    }
                    Content::OrderAdd { security_id, order } => {
                        order_add::$request_time.put(body, None);
                        order_add::SECURITY_ID.put(body, Some(security_id));
                        put_order(&mut body[order_add::ORDER_DETAILS..], &order);
                    }
                    Content::OrderModify {
                        security_id,
                        previous_priority_ns,
                        previous_price,
                        previous_quantity,
                        order,
                    } => {
                        order_modify::$request_time.put(body, None);
                        order_modify::TRD_REG_TS_PREV_TIME_PRIORITY.put(body, previous_priority_ns);
                        order_modify::PREV_PRICE.put(body, previous_price);
                        order_modify::PREV_DISPLAY_QTY.put(body, Some(previous_quantity));
                        order_modify::SECURITY_ID.put(body, Some(security_id));
                        put_order(&mut body[order_modify::ORDER_DETAILS..], &order);
                    }
                    Content::OrderModifySamePriority {
                        security_id,
                        previous_quantity,
                        order,
                    } => {
                        order_modify_same_prio::$request_time.put(body, None);
                        order_modify_same_prio::PREV_DISPLAY_QTY.put(body, Some(previous_quantity));
                        order_modify_same_prio::SECURITY_ID.put(body, Some(security_id));
                        put_order(&mut body[order_modify_same_prio::ORDER_DETAILS..], &order);
                    }
                    Content::OrderDelete { security_id, order } => {
                        order_delete::$request_time.put(body, None);
                        order_delete::SECURITY_ID.put(body, Some(security_id));
                        put_order(&mut body[order_delete::ORDER_DETAILS..], &order);
                    }
                    Content::OrderMassDelete { security_id } => {
                        order_mass_delete::SECURITY_ID.put(body, Some(security_id));
                    }
                    Content::FullOrderExecution(execution)
                    | Content::PartialOrderExecution(execution) => put_execution(body, &execution),
                    Content::SnapshotOrder(order) => {
                        put_order(&mut body[snapshot_order::ORDER_DETAILS..], &order);
                    }
                    _ => content.write_others(release, body),
                }
            }

            fn order(details: &[u8]) -> Field<Order> {
                use order_details::*;
                Ok(Order {
                    priority_ns: TRD_REG_TS_TIME_PRIORITY.get(details),
                    quantity: DISPLAY_QTY.get(details).ok_or("DisplayQty")?,
                    side: Side::from_code(SIDE.get(details)).ok_or("Side")?,
                    is_market: ORD_TYPE.get(details) == Some(MARKET),
                    price: PRICE.get(details),
                })
            }

            fn put_order(details: &mut [u8], order: &Order) {
                use order_details::*;
                TRD_REG_TS_TIME_PRIORITY.put(details, order.priority_ns);
                DISPLAY_QTY.put(details, Some(order.quantity));
                SIDE.put(details, Some(order.side as u8));
                ORD_TYPE.put(details, order.is_market.then_some(MARKET));
                PRICE.put(details, order.price);
            }

            const _: () = {
                use {full_order_execution as full, partial_order_execution as partial};
                assert!(full::SECURITY_ID.0 == partial::SECURITY_ID.0);
                assert!(full::SIDE.0 == partial::SIDE.0);
                assert!(full::PRICE.0 == partial::PRICE.0);
                assert!(full::TRD_REG_TS_TIME_PRIORITY.0 == partial::TRD_REG_TS_TIME_PRIORITY.0);
                assert!(full::LAST_QTY.0 == partial::LAST_QTY.0);
                assert!(full::LAST_PX.0 == partial::LAST_PX.0);
                assert!(full::TRD_MATCH_ID.0 == partial::TRD_MATCH_ID.0);
            };

            /// Full and partial executions have the same fields at the same places, as asserted.
            fn execution(body: &[u8]) -> Field<Execution> {
                use full_order_execution::*;
                Ok(Execution {
                    security_id: SECURITY_ID.get(body).ok_or("SecurityID")?,
                    side: Side::from_code(SIDE.get(body)).ok_or("Side")?,
                    priority_ns: TRD_REG_TS_TIME_PRIORITY.get(body),
                    price: PRICE.get(body),
                    last_quantity: LAST_QTY.get(body).ok_or("LastQty")?,
                    last_price: LAST_PX.get(body),
                    match_id: TRD_MATCH_ID.get(body),
                })
            }

            fn put_execution(body: &mut [u8], execution: &Execution) {
                use full_order_execution::*;
                SECURITY_ID.put(body, Some(execution.security_id));
                SIDE.put(body, Some(execution.side as u8));
                TRD_REG_TS_TIME_PRIORITY.put(body, execution.priority_ns);
                PRICE.put(body, execution.price);
                LAST_QTY.put(body, Some(execution.last_quantity));
                LAST_PX.put(body, execution.last_price);
                TRD_MATCH_ID.put(body, execution.match_id);
            }
        }
    };
}

codec!(v6_0, V6_0, TRD_REG_TS_TIME_IN);
codec!(v14_1, V14_1, REQUEST_TIME);
